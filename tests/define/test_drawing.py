"""A workflow drawn, exactly."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from enum import Enum, auto
from itertools import pairwise
from typing import Annotated, Any, Literal

import pytest

from cano_trio import BatchResults, CloseReason, More, Pending, PollTimeout, Split, SplitFailed, Workflow


class Step(Enum):
    FETCH = auto()
    PICK = auto()
    PARSE = auto()
    JUMP = auto()
    DONE = auto()
    FAILED = auto()


work = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="ingest")


@work.task(Step.FETCH, on_error={OSError: Step.FAILED})
async def fetch() -> Annotated[Literal[Step.PICK], "in stock"]:
    return Step.PICK


@work.router(Step.PICK)
async def pick() -> Literal[Step.PARSE, Step.JUMP]:
    return Step.PARSE


@work.batch(Step.PARSE)
async def parse(item: int) -> int:
    return item


@parse.load
async def load() -> list[int]:
    return []


@parse.finish
async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
    return Step.DONE


@work.task(Step.JUMP, name='say "<hi>" #1')
async def jump() -> Annotated[Literal[Step.DONE], "a|b"] | Step:
    return Step.DONE


def test_mermaid() -> None:
    """Mermaid: shapes by model, labels, red error edges, dashed edges that may lead anywhere."""
    assert (
        f"{work:mermaid}"
        == """\
flowchart TD
    START(( )) --> FETCH
    FETCH["FETCH<br/><i>fetch</i>"]
    PICK{{"PICK<br/><i>router pick</i>"}}
    FAILED(["FAILED"])
    PARSE[["PARSE<br/><i>batch parse</i>"]]
    JUMP["JUMP<br/><i>say &quot;&lt;hi&gt;&quot; #35;1</i>"]
    DONE(["DONE"])
    FETCH -->|"in stock"| PICK
    FETCH -->|"OSError"| FAILED
    linkStyle 2 stroke:#c0392b,color:#c0392b
    PICK --> PARSE
    PICK --> JUMP
    PARSE --> DONE
    JUMP -.-> FETCH
    JUMP -.-> PICK
    JUMP -.-> PARSE
    JUMP -.-> JUMP
    JUMP -->|"a|b"| DONE
    JUMP -.-> FAILED"""
    )


def test_dot() -> None:
    """Graphviz: the same."""
    assert (
        f"{work:dot}"
        == r"""digraph "ingest" {
  node [fontname="Helvetica", shape=box, style=rounded]; edge [fontname="Helvetica", fontsize=10];
  "" [shape=point]; "" -> "FETCH";
  "FETCH" [label="FETCH\nfetch", shape=box];
  "PICK" [label="PICK\nrouter pick", shape=diamond];
  "FAILED" [label="FAILED", shape=doubleoctagon];
  "PARSE" [label="PARSE\nbatch parse", shape=box3d];
  "JUMP" [label="JUMP\nsay \"<hi>\" #1", shape=box];
  "DONE" [label="DONE", shape=doubleoctagon];
  "FETCH" -> "PICK" [label="in stock"];
  "FETCH" -> "FAILED" [label="OSError", color="#c0392b", fontcolor="#c0392b"];
  "PICK" -> "PARSE";
  "PICK" -> "JUMP";
  "PARSE" -> "DONE";
  "JUMP" -> "FETCH" [style=dashed];
  "JUMP" -> "PICK" [style=dashed];
  "JUMP" -> "PARSE" [style=dashed];
  "JUMP" -> "JUMP" [style=dashed];
  "JUMP" -> "DONE" [label="a|b"];
  "JUMP" -> "FAILED" [style=dashed];
}"""
    )


def test_ascii() -> None:
    """Plain text: the initial state starred, exits marked, error edges crossed, guesses dotted."""
    assert (
        f"{work:ascii}"
        == """\
ingest
* FETCH  (fetch)
    --> PICK  in stock
    -x> FAILED  OSError
  PICK  (router pick)
    --> PARSE
    --> JUMP
o FAILED
  PARSE  (batch parse)
    --> DONE
  JUMP  (say "<hi>" #1)
    ..> FETCH
    ..> PICK
    ..> PARSE
    ..> JUMP
    --> DONE  a|b
    ..> FAILED
o DONE"""
    )


def drawn(names: list[str]) -> Any:
    """A chain of states of these names, the last an exit."""
    states: Any = Enum("States", names)  # type: ignore[misc]
    members = list(states)
    chain: Any = Workflow(states, initial=members[0], exits=[members[-1]], name='a "quoted\\ name')
    for state, following in pairwise(members):

        async def task() -> Any:
            raise NotImplementedError

        task.__annotations__["return"] = Literal[following]
        chain.register(state, task)
    chain.validate()
    return chain


def ids(chain: Any) -> tuple[str, list[str]]:
    """What Mermaid calls the start and the states, in order; each line must be of Mermaid's form."""
    head, first, *lines = f"{chain:mermaid}".splitlines()
    assert head == "flowchart TD"
    start, initial = re.fullmatch(r" {4}(\w+)\(\( \)\) --> (\w+)", first).groups()  # type: ignore[union-attr]
    boxes = [re.fullmatch(r' {4}(\w+)(\[|\(\[)"[^"]*"(\]|\]\))', line) for line in lines]
    found = [box[1] for box in boxes if box]
    edges = [re.fullmatch(r" {4}(\w+) --> (\w+)", line) for line in lines]
    assert [edge.groups() for edge in edges if edge] == list(pairwise(found))
    assert len(lines) == 2 * len(found) - 1
    assert initial == found[0]
    assert len({start, *found}) == len(found) + 1
    return start, found


def test_mermaid_words() -> None:
    """Words that Mermaid takes for its own, such as `end`, do not stand for a state; its title shows them."""
    chain = drawn(["end", "End", "graph", "default", "style", "START", "state0", "fine"])
    start, found = ids(chain)
    assert start == "START_"
    assert found == ["state0_", "state1", "state2", "state3", "state4", "START", "state0", "fine"]
    assert '    state0_["end<br/><i>task</i>"]' in f"{chain:mermaid}"


def test_odd_names() -> None:
    """Names with any characters in them are drawn, quoted for each form."""
    chain = drawn(["a b", 'say "x"', "<b>&\n", "für", "x-->y", "back\\slash", "1"])
    _, found = ids(chain)
    assert found == [f"state{number}" for number in range(7)]
    text = f"{chain:mermaid}"
    assert '["say &quot;x&quot;<br/>' in text
    assert '["&lt;b&gt;&amp;<br/><br/>' in text
    dot = f"{chain:dot}"
    assert dot.startswith(r'digraph "a \"quoted\\ name" {')
    assert r'"say \"x\"" -> "<b>&\n";' in dot
    assert r'"x-->y" -> "back\\slash";' in dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_accepts_it() -> None:
    """Graphviz itself reads what we write."""
    for chain in (work, undoable(), drawn(["a b", 'say "x"', "<b>&\n", "end", "back\\slash", "1"])):
        subprocess.run(["dot", "-Tsvg"], input=f"{chain:dot}", check=True, capture_output=True, text=True)


def test_unreachable_states_are_drawn_last() -> None:
    """A drawing shows all that is defined, right or wrong: also what no run meets, and where that leads."""
    wrong: Any = Workflow(Step, initial=Step.JUMP, exits=[Step.DONE, Step.FAILED])

    async def to_failed() -> Literal[Step.FAILED]:
        return Step.FAILED

    async def to_done() -> Literal[Step.DONE, Step.PARSE]:
        return Step.DONE

    wrong.register(Step.FETCH, to_failed)
    wrong.register(Step.JUMP, to_done)
    assert (
        f"{wrong:ascii}"
        == """\
Step
* JUMP  (to_done)
    --> DONE
    --> PARSE
o DONE
  PARSE
  FETCH  (to_failed)
    --> FAILED
o FAILED"""
    )


def test_nothing_to_draw() -> None:
    """An empty workflow has an initial state, at least."""
    assert f"{Workflow(Step, initial=Step.FETCH, exits=[Step.DONE]):ascii}" == "Step\n* FETCH"


@pytest.mark.parametrize("form", ["svg", "Mermaid", ">20"])
def test_other_forms(form: str) -> None:
    """Another form is refused, with those that there are."""
    with pytest.raises(
        ValueError, match=r"no drawing '.*': there are mermaid, dot, ascii\. Write f\"\{workflow:mermaid\}\"\."
    ):
        format(work, form)


def test_notebooks() -> None:
    """A notebook gets the drawing as Mermaid, and as plain text."""
    assert work._repr_mimebundle_(include=None, exclude=None) == {
        "text/plain": f"{work:ascii}",
        "text/vnd.mermaid": f"{work:mermaid}",
    }


def waiting() -> Workflow[Step]:
    """A workflow that waits, counts and waits again."""
    patient = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="patient")

    @patient.poll(Step.FETCH, attempt_timeout=60, on_error={PollTimeout: Step.FAILED})
    async def look() -> Annotated[Literal[Step.PARSE], "there"] | Pending:
        return Step.PARSE

    @patient.stepped(Step.PARSE)
    async def copy(cursor: int | None) -> More[int] | Literal[Step.JUMP]:
        return Step.JUMP

    @patient.timer(Step.JUMP)
    async def rest() -> float:
        return 60

    @rest.after_wait
    async def wake() -> Literal[Step.FETCH, Step.DONE]:
        return Step.DONE

    return patient


def test_waiting_in_mermaid() -> None:
    """Mermaid: a poll is a parallelogram, stepped work a trapezium, a timer a circle."""
    assert (
        f"{waiting():mermaid}"
        == """\
flowchart TD
    START(( )) --> FETCH
    FETCH[/"FETCH<br/><i>poll look</i>"/]
    PARSE[/"PARSE<br/><i>stepped copy</i>"\\]
    FAILED(["FAILED"])
    JUMP(("JUMP<br/><i>timer rest</i>"))
    DONE(["DONE"])
    FETCH -->|"there"| PARSE
    FETCH -->|"PollTimeout"| FAILED
    linkStyle 2 stroke:#c0392b,color:#c0392b
    PARSE --> JUMP
    JUMP --> FETCH
    JUMP --> DONE"""
    )


def test_waiting_in_dot() -> None:
    """Graphviz: the same shapes, the circle drawn out for its text."""
    lines = f"{waiting():dot}".splitlines()
    assert lines[3:8] == [
        r'  "FETCH" [label="FETCH\npoll look", shape=parallelogram];',
        r'  "PARSE" [label="PARSE\nstepped copy", shape=trapezium];',
        '  "FAILED" [label="FAILED", shape=doubleoctagon];',
        r'  "JUMP" [label="JUMP\ntimer rest", shape=ellipse];',
        '  "DONE" [label="DONE", shape=doubleoctagon];',
    ]


def test_waiting_in_plain_text() -> None:
    """Plain text says what works in each state, and how."""
    assert (
        f"{waiting():ascii}"
        == """\
patient
* FETCH  (poll look)
    --> PARSE  there
    -x> FAILED  PollTimeout
  PARSE  (stepped copy)
    --> JUMP
o FAILED
  JUMP  (timer rest)
    --> FETCH
    --> DONE
o DONE"""
    )


def streaming() -> Workflow[Step]:
    """A stream that may be stopped, and may fail."""
    flow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.PARSE, Step.FAILED], name="flow")

    @flow.stream(Step.FETCH, on_error={OSError: Step.FAILED})
    async def take(item: int) -> tuple[int, int]:
        return item, item

    @take.open
    async def numbers(cursor: int | None) -> AsyncIterator[int]:
        yield 1

    @take.flush_window
    async def write(outputs: list[int]) -> Literal[Step.PARSE] | None:
        return None

    @take.on_close
    async def close(reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE

    return flow


def test_streaming_in_mermaid() -> None:
    """Mermaid: a stream is a parallelogram that leans on; where a flush stops it stands at that edge."""
    assert (
        f"{streaming():mermaid}"
        == """\
flowchart TD
    START(( )) --> FETCH
    FETCH[\\"FETCH<br/><i>stream take</i>"\\]
    PARSE(["PARSE"])
    DONE(["DONE"])
    FAILED(["FAILED"])
    FETCH -->|"stopped"| PARSE
    FETCH --> DONE
    FETCH -->|"OSError"| FAILED
    linkStyle 3 stroke:#c0392b,color:#c0392b"""
    )


def test_streaming_in_dot() -> None:
    """Graphviz: an arrow to the right."""
    lines = f"{streaming():dot}".splitlines()
    assert r'  "FETCH" [label="FETCH\nstream take", shape=rarrow];' in lines
    assert '  "FETCH" -> "PARSE" [label="stopped"];' in lines


def test_streaming_in_plain_text() -> None:
    """Plain text says what is a stream, and where it is stopped."""
    assert (
        f"{streaming():ascii}"
        == """\
flow
* FETCH  (stream take)
    --> PARSE  stopped
    --> DONE
    -x> FAILED  OSError
o PARSE
o DONE
o FAILED"""
    )


def undoable() -> Workflow[Step]:
    """A saga of one step that can be undone, and one that can't."""
    saga = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="saga")

    @saga.compensatable(Step.FETCH, on_error={OSError: Step.FAILED})
    async def charge() -> tuple[Annotated[Literal[Step.PARSE], "paid"], int] | Literal[Step.DONE]:
        return Step.DONE

    @charge.compensate
    async def refund(receipt: int) -> None: ...

    @saga.task(Step.PARSE)
    async def ship() -> Literal[Step.DONE]:
        return Step.DONE

    return saga


def test_a_saga_drawn() -> None:
    """Work that can be undone: an upturned trapezium, an arrow back, and its own word; edges with and without a receipt."""
    saga = undoable()
    mermaid = f"{saga:mermaid}".splitlines()
    assert mermaid[2] == '    FETCH[\\"FETCH<br/><i>compensatable charge</i>"/]'
    assert mermaid[6:] == [
        '    FETCH -->|"paid"| PARSE',
        "    FETCH --> DONE",
        '    FETCH -->|"OSError"| FAILED',
        "    linkStyle 3 stroke:#c0392b,color:#c0392b",
        "    PARSE --> DONE",
    ]
    assert r'  "FETCH" [label="FETCH\ncompensatable charge", shape=larrow];' in f"{saga:dot}".splitlines()
    assert f"{saga:ascii}".splitlines()[1:5] == [
        "* FETCH  (compensatable charge)",
        "    --> PARSE  paid",
        "    --> DONE",
        "    -x> FAILED  OSError",
    ]


def fanning() -> Workflow[Step]:
    """A fixed split with an error edge, and a split decided at run time."""
    fan = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="fan")

    async def near() -> int:
        return 1

    @fan.branch
    async def price(item: int) -> int:
        return item

    branches = {"eu": near, "us": near}
    fan.register_split(
        Step.FETCH,
        Split.any(branches, Step.PICK, timeout=5, bulkhead=2),
        name="ask",
        on_error={SplitFailed: Step.FAILED},
    )

    @fan.split(Step.PICK)
    async def plan() -> Literal[Step.DONE] | Split[Literal[Step.PARSE]]:
        return Split.over(price, [1], Step.PARSE)

    @fan.task(Step.PARSE)
    async def total() -> Literal[Step.DONE]:
        return Step.DONE

    return fan


def test_splits_in_mermaid() -> None:
    """Mermaid: a split's branches stand between two bars, of which the second leads to the join state."""
    assert (
        f"{fanning():mermaid}"
        == """\
flowchart TD
    START(( )) --> FETCH
    FETCH["FETCH<br/><i>split ask: any of 2 branches within 5 s, 2 at once</i>"]
    PICK["PICK<br/><i>split plan</i>"]
    FAILED(["FAILED"])
    DONE(["DONE"])
    PARSE["PARSE<br/><i>total</i>"]
    FETCH_fork[" "]:::bar
    FETCH_join[" "]:::bar
    FETCH_branch0("eu near")
    FETCH_branch1("us near")
    PICK_fork[" "]:::bar
    PICK_join[" "]:::bar
    PICK_branch0("price, once per item")
    FETCH_join --> PICK
    FETCH -->|"SplitFailed"| FAILED
    linkStyle 2 stroke:#c0392b,color:#c0392b
    PICK --> DONE
    PICK_join --> PARSE
    PARSE --> DONE
    FETCH --> FETCH_fork
    FETCH_fork --> FETCH_branch0
    FETCH_branch0 --> FETCH_join
    FETCH_fork --> FETCH_branch1
    FETCH_branch1 --> FETCH_join
    PICK --> PICK_fork
    PICK_fork --> PICK_branch0
    PICK_branch0 --> PICK_join
    classDef bar fill:#333,stroke:#333"""
    )


def test_splits_in_dot() -> None:
    """Graphviz: the same bars."""
    lines = f"{fanning():dot}".splitlines()
    assert '  "FETCH_fork" [label="", shape=box, style=filled, fillcolor="#333333", height=0.05, width=1.5];' in lines
    assert '  "FETCH_branch1" [label="us near"];' in lines
    assert [line for line in lines if "->" in line and "PICK" in line] == [
        '  "PICK" -> "PICK_fork";',
        '  "PICK_fork" -> "PICK_branch0";',
        '  "PICK_branch0" -> "PICK_join";',
        '  "FETCH_join" -> "PICK";',
        '  "PICK" -> "DONE";',
        '  "PICK_join" -> "PARSE";',
    ]


def test_splits_in_text() -> None:
    """Plain text: branches, and a double arrow to the join state."""
    assert (
        f"{fanning():ascii}"
        == """\
fan
* FETCH  (split ask: any of 2 branches within 5 s, 2 at once)
    === eu near
    === us near
    ==> PICK
    -x> FAILED  SplitFailed
  PICK  (split plan)
    === price, once per item
    --> DONE
    ==> PARSE
o FAILED
o DONE
  PARSE  (total)
    --> DONE"""
    )


def test_many_branches_are_counted() -> None:
    """Of many branches the first are drawn, and how many more there are."""
    many = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE])

    async def near() -> int:
        return 1

    many.register_split(Step.FETCH, Split.all([near] * 1000, Step.DONE))
    drawn_branches = [line for line in f"{many:ascii}".splitlines() if "===" in line]
    assert (len(drawn_branches), drawn_branches[-1]) == (8, "    === 993 more")


class Pay(Enum):
    CHARGE = auto()
    PAID = auto()
    DECLINED = auto()


def paying() -> Workflow[Step]:
    """A state that is another workflow's work, and one that is its own."""
    order = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="order")
    payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID, Pay.DECLINED], name="payment")

    @payment.task(Pay.CHARGE, on_error={OSError: Pay.DECLINED})
    async def charge() -> Literal[Pay.PAID]:
        return Pay.PAID

    order.register_child(
        Step.FETCH,
        payment,
        {Pay.PAID: Step.PARSE, Pay.DECLINED: Step.FAILED},
        on_error={TimeoutError: Step.FAILED},
    )
    order.register_child(Step.PARSE, order, {Step.DONE: Step.DONE, Step.FAILED: Step.DONE}, name="next one")
    return order


def test_children_in_mermaid() -> None:
    """Mermaid: a child is a box with all of its states in it, and links are styled by their number on all floors."""
    assert (
        f"{paying():mermaid}"
        == """\
flowchart TD
    START(( )) --> FETCH
    subgraph FETCH["FETCH<br/><i>child payment</i>"]
        FETCH_START(( )) --> FETCH_CHARGE
        FETCH_CHARGE["CHARGE<br/><i>charge</i>"]
        FETCH_PAID(["PAID"])
        FETCH_DECLINED(["DECLINED"])
        FETCH_CHARGE --> FETCH_PAID
        FETCH_CHARGE -->|"OSError"| FETCH_DECLINED
        linkStyle 3 stroke:#c0392b,color:#c0392b
    end
    PARSE["PARSE<br/><i>child next one</i>"]
    FAILED(["FAILED"])
    DONE(["DONE"])
    FETCH -->|"PAID"| PARSE
    FETCH -->|"DECLINED"| FAILED
    FETCH -->|"TimeoutError"| FAILED
    linkStyle 6 stroke:#c0392b,color:#c0392b
    PARSE -->|"DONE, FAILED"| DONE"""
    )


def test_children_in_dot() -> None:
    """Graphviz: a child is a cluster beside the state that it works for."""
    assert (
        f"{paying():dot}"
        == r"""digraph "order" {
  node [fontname="Helvetica", shape=box, style=rounded]; edge [fontname="Helvetica", fontsize=10];
  "" [shape=point]; "" -> "FETCH";
  "FETCH" [label="FETCH\nchild payment", shape=component];
  subgraph "cluster_FETCH" {
    label="payment"; style=rounded;
    "FETCH/CHARGE" [label="CHARGE\ncharge", shape=box];
    "FETCH/PAID" [label="PAID", shape=doubleoctagon];
    "FETCH/DECLINED" [label="DECLINED", shape=doubleoctagon];
    "FETCH/CHARGE" -> "FETCH/PAID";
    "FETCH/CHARGE" -> "FETCH/DECLINED" [label="OSError", color="#c0392b", fontcolor="#c0392b"];
  }
  "FETCH" -> "FETCH/CHARGE" [style=dotted];
  "PARSE" [label="PARSE\nchild next one", shape=component];
  "FAILED" [label="FAILED", shape=doubleoctagon];
  "DONE" [label="DONE", shape=doubleoctagon];
  "FETCH" -> "PARSE" [label="PAID"];
  "FETCH" -> "FAILED" [label="DECLINED"];
  "FETCH" -> "FAILED" [label="TimeoutError", color="#c0392b", fontcolor="#c0392b"];
  "PARSE" -> "DONE" [label="DONE, FAILED"];
}"""
    )


def test_children_in_text() -> None:
    """Plain text: a child stands indented under its state."""
    assert (
        f"{paying():ascii}"
        == """\
order
* FETCH  (child payment)
    | * CHARGE  (charge)
    |     --> PAID
    |     -x> DECLINED  OSError
    | o PAID
    | o DECLINED
    --> PARSE  PAID
    --> FAILED  DECLINED
    -x> FAILED  TimeoutError
  PARSE  (child next one)
    --> DONE  DONE, FAILED
o FAILED
o DONE"""
    )


def test_workflows_that_are_each_others_child_are_drawn_once() -> None:
    """On every way down a workflow is drawn once: where it occurs within itself, only its name stands."""
    order = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], name="order")
    payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], name="payment")
    payment.register_child(Pay.CHARGE, order, {Step.DONE: Pay.PAID})
    order.register_child(Step.FETCH, payment, {Pay.PAID: Step.PICK})
    order.register_child(Step.PICK, payment, {Pay.PAID: Step.DONE})
    assert (
        f"{order:ascii}"
        == """\
order
* FETCH  (child payment)
    | * CHARGE  (child order)
    |     --> PAID  DONE
    | o PAID
    --> PICK  PAID
  PICK  (child payment)
    | * CHARGE  (child order)
    |     --> PAID  DONE
    | o PAID
    --> DONE  PAID
o DONE"""
    )
    assert f"{order:mermaid}".count("subgraph") == f"{order:dot}".count("subgraph") == 2
    assert f"{payment:mermaid}".count("subgraph") == 1


def test_the_names_of_all_floors_are_kept_apart() -> None:
    """Mermaid: what a state of the parent is called, no state of a child is, nor the dot from which it begins."""

    class Odd(Enum):
        PAY = auto()
        PAY_CHARGE = auto()
        PAY_START = auto()
        PAY_CHARGE_fork = auto()

    order = Workflow(Odd, initial=Odd.PAY, exits=[Odd.PAY_CHARGE, Odd.PAY_START, Odd.PAY_CHARGE_fork])
    payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID, Pay.DECLINED])

    async def near() -> int:
        return 1

    payment.register_split(Pay.CHARGE, Split.all([near], Pay.PAID), on_error={OSError: Pay.DECLINED})
    routes = {Pay.PAID: Odd.PAY_CHARGE, Pay.DECLINED: Odd.PAY_START}
    order.register_child(Odd.PAY, payment, routes, on_error={OSError: Odd.PAY_CHARGE_fork})
    boxes = [re.match(r" *(?:subgraph )?(\w+)(?:\[|\()", line) for line in f"{order:mermaid}".splitlines()]
    assert sorted(box[1] for box in boxes if box) == [
        "PAY", "PAY_CHARGE", "PAY_CHARGE_", "PAY_CHARGE__branch0", "PAY_CHARGE__fork", "PAY_CHARGE__join", "PAY_CHARGE_fork",
        "PAY_DECLINED", "PAY_PAID", "PAY_START", "PAY_START_", "START",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_accepts_children() -> None:
    """Graphviz itself reads clusters as we write them."""
    subprocess.run(["dot", "-Tsvg"], input=f"{paying():dot}", check=True, capture_output=True, text=True)
