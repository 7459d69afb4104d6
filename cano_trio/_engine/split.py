"""How a split advances: its branches are joined, and the run goes on in the join state with what they came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, final

from msgspec import Raw
from msgspec.structs import replace

from .. import _clock
from .._define.blueprint import Plan
from .._define.branch import item_type, value_type
from .._define.compensatable import COMPENSATABLE_BRANCH
from .._define.fault import Fault
from .._define.node import name_of
from .._define.split import Over, Split
from .._errors import DefinitionError, SplitFailed
from .._journal.codec import Codec, codec_for
from .attempt import attempt
from .compensatable import compensatable_unit
from .join import BRANCH, Branch, Join, results_of
from .kept import Chosen, encode, read_chosen
from .layers import Call
from .rollback import undo_branches
from .run import Run
from .step import Step
from .unit import Binder


def bind_fixed_split(step: Step, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step join the branches that were registered."""
    split: Split[Any] = plan.node.split  # type: ignore[assignment]  # what this model is made with
    branches = [_fixed_branch(step, name, branch, plan, binder) for name, branch in plan.branches.items()]

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        return await _join(run, step, branches, split)

    step.branch_codecs = {branch.name: branch.codec for branch in branches}
    step.reads = lambda _, outcomes: results_of(tuple(step.branch_codecs), outcomes, step.branch_codecs)
    step.advance = advance


async def _join(run: Run, step: Step, branches: Sequence[Branch], split: Split[Any], since: float | None = None) -> Any:
    """Join the branches, and name the state that is given what they came to; an exit has no task to give it to."""
    failure: SplitFailed | None = None
    timeout = run.journal.left_of(split.timeout, since)
    try:
        results = await Join(run, step.label, branches, split.rule).results(timeout, split.bulkhead)
    except SplitFailed as error:
        failure = error
    else:
        run.joined = None if step.edges[id(split.then)].advance is None else results
        return split.then
    try:
        if step.diverted(failure) is not None:  # else the whole run is rolled back, and they with it
            await undo_branches(run, ())
        raise failure
    finally:
        del failure  # it holds this frame by its traceback


def _fixed_branch(step: Step, name: str, branch: Plan[Any], plan: Plan[Any], binder: Binder) -> Branch:
    part = f"{BRANCH}{name}"
    if branch.node.model is COMPENSATABLE_BRANCH:
        unit = compensatable_unit(step, branch, binder, f"{plan.node.name}[{name}]", part)
        codec = codec_for(value_type(branch.methods["run"], receipt=True))
        return Branch(name, unit, unit.args, part, codec, undoable=True)
    unit = binder.unit(
        branch.methods["run"], config=branch.node.config, choosers=branch.plain, label=f"{plan.node.name}[{name}]"
    )
    return Branch(name, unit, unit.args, part, codec_for(value_type(branch.methods["run"])))


def bind_split(step: Step, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the task, and join the branches that it returns."""
    node = plan.node
    unit = binder.unit(plan.methods["split"], writes=True, config=node.config, choosers=plan.plain)
    choices = _Choices(plan, binder)
    plain = {id(edge.target) for edge in plan.edges if not edge.joins}

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        if place := run.journal.places.get(""):
            if unit.takes_draft:
                run.draft = run.data()
            return await _join(run, step, *choices.before(place))
        split = await attempt(run, unit, unit.args)
        if not isinstance(split, Split):
            return split if id(split) in plain else step.after(split)
        if id(split.then) not in choices.joining:
            step.after(split)
        branches = choices.over(split, type(step.state))
        # Here the choice becomes a fact: its items, and what the task wrote with them.
        if unit.takes_draft:
            run.keep_draft()
        since = None
        if run.durable:
            chosen = choices.written(split, branches)
            await run.journal.keep(encode(chosen))
            since = chosen.chosen_at
        if run.letters:
            run.remove_letters()
        return await _join(run, step, branches, split, since)

    step.branch_codecs = {name: branch.codec for name, branch in choices.branches.items()}
    step.unit = unit
    step.writes = unit.takes_draft
    step.reads = choices.read
    step.advance = advance


@final
class _Choices:
    """The declared branches that a split chooses among, and the states that it may join them in."""

    __slots__ = ("_by_function", "_plan", "branches", "joining")

    def __init__(self, plan: Plan[Any], binder: Binder) -> None:
        self._plan = plan
        self.branches = {name: _ItemBranch(branch, plan, binder) for name, branch in plan.branches.items()}
        self._by_function = {id(branch.node.functions["run"]): name for name, branch in plan.branches.items()}
        self.joining = {id(edge.target): edge.target for edge in plan.edges if edge.joins}

    def over(self, split: Split[Any], states: type[Enum]) -> list[Branch]:
        """The branches that a task returned, with their items packed.

        Raises:
            DefinitionError: the split is wrong in itself, or its branch is none that takes an item.
            DataNotEncodable: an item can't be written down.
        """
        faults = list(split.faults(states))
        over = split.branches
        name = self._by_function.get(id(over.branch)) if isinstance(over, Over) else None
        if name is None:
            faults.append(_undeclared(over))
        if not isinstance(over, Over) or name is None or faults:
            node = self._plan.node
            raise DefinitionError([fault.problem(node.place, node.name, str(node.site)) for fault in faults])
        branch = self.branches[name]
        return branch.over({item_name: branch.item_codec.pack(item) for item_name, item in over.items.items()})

    def written(self, split: Split[Any], branches: Sequence[Branch]) -> Chosen:
        """A choice as it is written down."""
        over: Any = split.branches
        items: dict[str, Any] = {branch.name: branch.args[0] for branch in branches}
        return Chosen(
            branch=self._by_function[id(over.branch)],
            then=split.then.name,
            rule=split.rule,
            items={name: Raw(item) for name, item in items.items()},
            timeout=split.timeout,
            bulkhead=split.bulkhead,
            chosen_at=_clock.timestamp(),
        )

    def before(self, place: bytes) -> tuple[list[Branch], Split[Any], float]:
        """What was chosen in a process that is gone, and when."""
        chosen = read_chosen(place)
        items = {name: bytes(item) for name, item in chosen.items.items()}
        then = next(state for state in self.joining.values() if state.name == chosen.then)
        over = Over(self._plan.branches[chosen.branch].node.functions["run"], items)
        split = Split(over, then, chosen.rule, chosen.timeout, chosen.bulkhead)
        return self.branches[chosen.branch].over(items), split, chosen.chosen_at

    def read(self, places: Mapping[str, bytes], outcomes: Mapping[str, bytes]) -> None:
        """See that what was written down can be read."""
        for place in places.values():
            branches, _, _ = self.before(place)
            chosen = self.branches[read_chosen(place).branch]
            for branch in branches:
                chosen.item_codec.unpack_all(branch.args[0])
            names = tuple(branch.name for branch in branches)
            results_of(names, outcomes, dict.fromkeys(names, chosen.codec))


@final
class _ItemBranch:
    """A declared branch of which each attempt gets a fresh copy of its item."""

    __slots__ = ("codec", "item_codec", "unit")

    def __init__(self, branch: Plan[Any], plan: Plan[Any], binder: Binder) -> None:
        method = branch.methods["run"]
        codec = codec_for(item_type(method))
        self.item_codec = codec
        self.codec = codec_for(value_type(method))
        self.unit = binder.unit(
            replace(method, function=_unpacking(method.function, codec)),
            config=branch.node.config,
            choosers=branch.plain,
            label=f"{plan.node.name}[{branch.node.name}]",
        )

    def over(self, packed: Mapping[str, Any]) -> list[Branch]:
        """Its branches over some packed items."""
        return [
            Branch(name, self.unit, (item, *self.unit.args), f"{BRANCH}{name}", self.codec)
            for name, item in packed.items()
        ]


def _unpacking(function: Call, codec: Codec[Any]) -> Call:
    """The function, given its first argument packed."""
    unpack = codec.unpack

    async def call(packed: Any, *args: object) -> Any:
        return await function(unpack(packed), *args)

    return call


def _undeclared(over: object) -> Fault:
    if not isinstance(over, Over):
        return Fault("E35", "it returned a split of fixed branches", "Return Split.over(...), or use register_split.")
    return Fault(
        "E35",
        f"{name_of(over.branch)} is no branch that takes an item",
        "Write @workflow.branch over it; a fixed split can't name it too.",
    )


def forget_results(step: Step) -> None:
    """Let the outcomes of branches go when a state is finished to which they came; a router passes them on."""
    advance = step.advance
    if advance is None or not step.counts:
        return

    async def advance_and_forget(run: Run, unit: Any, args: tuple[object, ...]) -> Any:
        joined = run.joined
        try:
            return await advance(run, unit, args)
        finally:
            if run.joined is joined:  # it may be a split itself
                run.joined = None

    step.advance = advance_and_forget
