# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The public API as type checkers see it. Never run: checked by `mypy tests/typing` and `pyright tests/typing`.

The first half must be accepted. In the second half, each line with a suppression is a mistake that both checkers must
reject: a suppression that is not needed is an error itself, of mypy (`warn_unused_ignores`) and of pyright
(`reportUnnecessaryTypeIgnoreComment`), which both heed `type: ignore`. What only mypy rejects is in `mypy_only.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Annotated, Generic, Literal, TypeVar, assert_type

import outcome
import trio

from cano_trio import (
    AttemptFailed,
    Backoff,
    BatchResults,
    BatchTask,
    BranchResults,
    BranchTask,
    CircuitBreaker,
    CloseReason,
    CompensatableTask,
    Cron,
    DefinitionError,
    Event,
    Every,
    Group,
    ItemResult,
    JoinRule,
    Manual,
    MemoryStore,
    More,
    Observer,
    Pending,
    PerRun,
    PollTask,
    PollTimeout,
    Problem,
    Published,
    Question,
    RateLimiter,
    ReceiveTask,
    Resources,
    Restart,
    RestartCause,
    Retry,
    RetryScheduled,
    Rollback,
    RollbackFailed,
    RouterTask,
    Run,
    RunContext,
    RunEnded,
    RunResult,
    RunStatus,
    Runtime,
    Schedule,
    Shared,
    Split,
    SplitFailed,
    SplitTask,
    SteppedTask,
    StreamTask,
    SupervisorGaveUp,
    Task,
    TaskConfig,
    TaskOptions,
    TimerTask,
    Window,
    Workflow,
    failure_context,
    is_transient,
)


class Step(Enum):
    FETCH = auto()
    PARSE = auto()
    REPORT = auto()
    DONE = auto()
    FAILED = auto()


class Pay(Enum):
    START = auto()
    PAID = auto()


class Http: ...


class Page: ...


class Row: ...


@dataclass
class Order:
    sku: str
    region: str = "eu"


@dataclass
class Invoice:
    number: int


S = TypeVar("S", bound=Enum)


# ---- accepted: definitions

workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="ingest", version=1)
orders = Workflow(Step, initial=Step.FETCH, exits=(Step.DONE,), data=Order, max_transitions=100)
payment = Workflow(Pay, initial=Pay.START, exits={Pay.PAID}, defaults=TaskConfig(retry=Retry.none()))
assert_type(workflow, Workflow[Step, None])
assert_type(orders, Workflow[Step, Order])
assert_type(payment, Workflow[Pay, None])
plain: Workflow[Step] = workflow


def migrate(version: int, kind: str, raw: dict[str, object]) -> dict[str, object]:
    return raw | {"region": "eu"} if (version, kind) == (1, "data") else raw


older = Workflow(
    Step, initial=Step.FETCH, exits=[Step.DONE], data=Order, version=3, accepts=[1, 2], migrate=migrate,
    aliases={"LOAD": Step.FETCH},
)  # fmt: skip
assert_type(older, Workflow[Step, Order])
assert_type(older.accepts, frozenset[int])
assert_type(older.accepts_version(2), bool)
assert_type(older.state_named("LOAD"), Step | None)
volatile = MemoryStore(volatile_ok=True)


@workflow.task(Step.FETCH, retry=Retry.exponential(3), attempt_timeout=2.0, on_error={OSError: Step.FAILED})
async def fetch(http: Http, store: MemoryStore, *, limit: int = 3) -> Literal[Step.PARSE, Step.FAILED]:
    return Step.PARSE


@workflow.task(Step.FETCH, retry_on=(OSError, TimeoutError), name="labelled", on_open="wait")
async def labelled(http: Annotated[Http, "eu"]) -> Annotated[Literal[Step.PARSE], "in stock"] | Literal[Step.FAILED]:
    return Step.PARSE


@workflow.task(Step.FETCH, retry_on=is_transient, breaker=CircuitBreaker(), limiter=RateLimiter(3.0))
async def anywhere() -> Step:
    return Step.PARSE


regions = {"eu": CircuitBreaker()}


def by_region(order: Order) -> CircuitBreaker:
    return regions[order.region]


@orders.task(Step.FETCH, breaker=by_region, retry_on=lambda error: isinstance(error, OSError))
async def with_data(order: Order, ctx: RunContext) -> Literal[Step.DONE]:
    assert_type(ctx.attempt, int)
    assert_type(ctx.idempotency_key, str)
    ctx.progress(1, 2)
    ctx.emit(order)
    return Step.DONE


@workflow.router(Step.FETCH)
async def choose(res: Resources) -> Literal[Step.PARSE, Step.DONE]:
    assert_type(res.get(Http), Http)
    assert_type(res.get(Http, "eu"), Http)
    return Step.DONE if res.get(MemoryStore).get("all", bool) else Step.PARSE


@workflow.batch(Step.PARSE, concurrency=8, item_retry=Retry.fixed(2, delay=0.05), item_timeout=1.0, name="parse")
async def parse(page: Page, http: Http) -> Row:
    return Row()


@parse.load
async def pages(store: MemoryStore) -> list[Page]:
    return [Page()]


@parse.finish
async def report(results: BatchResults[Page, Row], store: MemoryStore) -> Literal[Step.REPORT]:
    assert_type(results.values, list[Row])
    assert_type(results.failures, list[ItemResult[Page, Row]])
    assert_type(results[0], ItemResult[Page, Row])
    assert_type(results[1:], Sequence[ItemResult[Page, Row]])
    for result in results:
        assert_type(result.item, Page)
        match result.outcome:
            case outcome.Value(value):
                assert_type(value, Row)
            case outcome.Error(error):
                assert_type(error, BaseException)
    return Step.REPORT


@workflow.batch(Step.PARSE, concurrency=trio.CapacityLimiter(3), record_items=False)
async def shared_limiter(page: Page) -> Row:
    return Row()


@dataclass(frozen=True)
class Approved:
    by: str


@dataclass(frozen=True)
class Rejected:
    why: str


@orders.receive(Step.REPORT, timeout=3 * 86_400, retry=Retry.none())
async def ask(message: Approved | Rejected, order: Order) -> Literal[Step.DONE, Step.FAILED]:
    return Step.DONE if isinstance(message, Approved) else Step.FAILED


@ask.on_timeout
async def nobody_answered(http: Http) -> Literal[Step.FAILED]:
    return Step.FAILED


@workflow.task(Step.PARSE)
async def receives(ctx: RunContext[Approved | Rejected], http: Http) -> Literal[Step.DONE]:
    assert_type(await ctx.receive(), Approved | Rejected)
    assert_type(await ctx.receive(Approved), Approved)
    await told(ctx)
    return Step.DONE


async def told(ctx: RunContext) -> None:
    ctx.progress(1)


@workflow.stepped(Step.PARSE)
async def converses(cursor: Page | None, ctx: RunContext[Approved]) -> More[Page] | Literal[Step.DONE]:
    assert_type(await ctx.receive(), Approved)
    return More(Page())


@dataclass(frozen=True)
class HowMany(Question[int]):
    sku: str


@orders.receive(Step.PARSE)
async def replies(question: HowMany, order: Order) -> Literal[Step.DONE]:
    question.reply(len(order.sku))
    return Step.DONE


async def asks(run: Run[Step, Order]) -> None:
    assert_type(await run.ask(HowMany("W-7")), int)


@orders.receive(Step.PARSE, name="approval")
async def wait_for_ever(message: Approved) -> Literal[Step.DONE]:
    return Step.DONE


class Ask(ReceiveTask[Step, Approved | Rejected]):
    timeout = 60.0

    async def on_message(self, message: Approved | Rejected, http: Http) -> Literal[Step.DONE, Step.FAILED]:
        return Step.DONE

    async def on_timeout(self, store: MemoryStore) -> Literal[Step.FAILED]:
        return Step.FAILED


class AskForEver(ReceiveTask[Step, Approved]):
    async def on_message(self, message: Approved) -> Literal[Step.DONE]:
        return Step.DONE


@workflow.poll(
    Step.FETCH, backoff=Backoff(base=1), max_errors=3, error_backoff=Backoff(), on_error={PollTimeout: Step.FAILED}
)
async def look(http: Http) -> Literal[Step.PARSE] | Pending:
    return Step.PARSE if http is http else Pending(delay=3, reset=True)


@workflow.timer(Step.PARSE, attempt_timeout=60)
async def pause(store: MemoryStore) -> float:
    return 3


@pause.after_wait
async def go_on(http: Http) -> Literal[Step.DONE]:
    return Step.DONE


@workflow.timer(Step.PARSE)
async def until() -> datetime:
    return datetime.now()


@workflow.timer(Step.PARSE)
async def either() -> float | datetime:
    return 3


@workflow.stepped(Step.PARSE, retry=Retry.none())
async def copy(cursor: Page | None, http: Http) -> More[Page] | Literal[Step.DONE]:
    return Step.DONE if cursor else More(Page())


@workflow.compensatable(
    Step.PARSE, compensate_retry=Retry.fixed(5, delay=1), compensate_timeout=3.0, hold=2.0, attempt_timeout=1.0
)
async def charge(http: Http, ctx: RunContext) -> tuple[Literal[Step.REPORT], Row]:
    assert_type(ctx.forward_key, str | None)
    return Step.REPORT, Row()


@charge.compensate
async def refund(receipt: Row, http: Http, *, ctx: RunContext) -> None: ...


@charge.compensate_in_doubt
async def look_for_it(ctx: RunContext) -> bool:
    return True


@workflow.compensatable(Step.PARSE)
async def maybe() -> tuple[Annotated[Literal[Step.REPORT], "sold"], int] | Literal[Step.DONE]:
    return Step.DONE


@maybe.compensate
async def take_back(receipt: int) -> str:
    return ""


class Charge(CompensatableTask[Step, Row]):
    compensate_retry = Retry.none()
    compensate_timeout = 3.0
    hold = 2.0

    async def run(self, http: Http) -> tuple[Literal[Step.REPORT], Row] | Literal[Step.DONE]:
        return Step.REPORT, Row()

    async def compensate(self, receipt: Row, /, http: Http) -> None: ...

    async def compensate_in_doubt(self, ctx: RunContext) -> None: ...


class Look(PollTask[Step]):
    backoff = Backoff(base=1)
    max_errors = 3
    error_backoff = Backoff(base=1)
    attempt_timeout = 60.0

    async def poll(self, http: Http) -> Literal[Step.PARSE] | Pending:
        return Pending()


class Pause(TimerTask[Step]):
    async def wait(self, http: Http) -> float:
        return 3

    async def after_wait(self, store: MemoryStore) -> Literal[Step.DONE]:
        return Step.DONE


class Until(TimerTask[Step]):
    async def wait(self) -> datetime:
        return datetime.now()

    async def after_wait(self) -> Literal[Step.DONE]:
        return Step.DONE


class Copy(SteppedTask[Step, Page]):
    async def step(self, cursor: Page | None, /, http: Http) -> More[Page] | Literal[Step.DONE]:
        return More(Page())


@workflow.stream(
    Step.REPORT, window=Window(count=100, seconds=1), on_item_error="dead_letter", max_errors=3, drain_timeout=5.0
)
async def consume(page: Page, http: Http) -> tuple[Row, int]:
    return Row(), 1


@consume.open
async def opens_a_channel(cursor: int | None, http: Http) -> trio.MemoryReceiveChannel[Page]:
    return trio.open_memory_channel[Page](0)[1]


@consume.open
async def is_a_generator(cursor: int | None, *, http: Http) -> AsyncIterator[Page]:
    yield Page()


@consume.open
@asynccontextmanager
async def is_a_context_manager(cursor: int | None) -> AsyncGenerator[trio.MemoryReceiveChannel[Page], None]:
    yield trio.open_memory_channel[Page](0)[1]


@consume.open
@trio.as_safe_channel
async def is_a_safe_channel(cursor: int | None, http: Http) -> AsyncGenerator[Page, None]:
    yield Page()


@consume.flush_window
async def writes(rows: list[Row], store: MemoryStore) -> Literal[Step.DONE] | None:
    return None


@consume.flush_window
async def writes_and_never_stops(rows: list[Row]) -> None: ...


@consume.on_close
async def closes(reason: CloseReason, http: Http) -> Literal[Step.DONE, Step.FAILED]:
    return Step.DONE if reason is CloseReason.EXHAUSTED else Step.FAILED


@consume.dead_letter
async def keeps(page: Page, error: Exception, store: MemoryStore) -> None: ...


class Fetch(Task[Step]):
    config = TaskConfig(retry=Retry.none())
    name = "fetch"
    attempt_timeout = 3.0
    on_error = {OSError: Step.FAILED}

    async def run(self, http: Http, *, limit: int = 3) -> Literal[Step.PARSE]:
        return Step.PARSE


class Patient(Task[Step]):
    """Sets its options where it is made; `model` is the user's own."""

    def __init__(self, model: str, timeout: float) -> None:
        self.model = model
        self.attempt_timeout = timeout
        self.retry = Retry.fixed(3, delay=1.0)
        self.retry_on = lambda error: model in str(error)

    async def run(self) -> Step:
        return Step.DONE


class Choose(RouterTask[Step]):
    async def route(self, res: Resources) -> Literal[Step.PARSE, Step.DONE]:
        return Step.PARSE


class Parse(BatchTask[Step, Page, Row]):
    concurrency = 8
    record_items = False
    item_retry = Retry.fixed(2, delay=0.05)

    async def load(self, res: Resources) -> list[Page]:
        return []

    async def process_item(self, page: Page, http: Http) -> Row:
        return Row()

    async def finish(self, results: BatchResults[Page, Row], res: Resources) -> Literal[Step.REPORT]:
        return Step.REPORT


class Consume(StreamTask[Step, Page, Row, int]):
    window = Window(count=10)
    on_item_error = "skip"
    drain_timeout = 5

    async def open(self, cursor: int | None, http: Http) -> AsyncIterator[Page]:
        yield Page()

    async def process_item(self, page: Page, http: Http) -> tuple[Row, int]:
        return Row(), 1

    async def flush_window(self, rows: list[Row], store: MemoryStore) -> None: ...

    async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE


class FromChannel(StreamTask[Step, Page, Row, int]):
    @asynccontextmanager
    async def open(self, cursor: int | None) -> AsyncGenerator[trio.MemoryReceiveChannel[Page], None]:
        yield trio.open_memory_channel[Page](0)[1]

    async def process_item(self, page: Page) -> tuple[Row, int]:
        return Row(), 1

    async def flush_window(self, rows: list[Row]) -> Literal[Step.FAILED] | None:
        return None

    async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE


class Library(Task[S], Generic[S]):
    def __init__(self, target: S) -> None:
        self.target = target

    async def run(self) -> S:
        return self.target


class Named(Library[Literal[Step.DONE]]): ...


workflow.register(Step.FETCH, Fetch())
workflow.register(Step.FETCH, Patient("gpt", 3.0), retry=Retry.none())
workflow.register(Step.FETCH, Choose())
workflow.register(Step.PARSE, Parse(), attempt_timeout=60.0)
workflow.register(Step.PARSE, Parse(), concurrency=2, item_retry=Retry.none(), record_items=True, name="parse")
workflow.register(Step.PARSE, Parse(), concurrency=trio.CapacityLimiter(3), item_retry_on=OSError, item_timeout=1.0)
workflow.register(Step.PARSE, Ask(), timeout=3.0, retry=Retry.none())
workflow.register(Step.PARSE, AskForEver(), name="approval")
workflow.register(Step.PARSE, Look(), max_errors=3, backoff=Backoff(), name="look")
workflow.register(Step.PARSE, Pause(), attempt_timeout=60.0)
workflow.register(Step.PARSE, Until())
workflow.register(Step.PARSE, Copy(), retry=Retry.none())
workflow.register(Step.PARSE, Charge(), hold=3.0, compensate_timeout=1.0, retry=Retry.none())
workflow.register(Step.PARSE, Consume(), window=Window(seconds=1), on_item_error="fail", retry=Retry.fixed(1, delay=1))
workflow.register(Step.PARSE, Library(Step.DONE))
workflow.register(Step.PARSE, Named(Step.DONE))
workflow.register(Step.PARSE, fetch, retry=Retry.none())
options: TaskOptions[Step] = {"retry": Retry.none(), "on_error": {OSError: Step.FAILED}}
workflow.register(Step.PARSE, fetch, **options)
assert_type(orders.with_tasks({Step.FETCH: fetch, Step.PARSE: Parse()}), Workflow[Step, Order])
assert_type(workflow.problems(), tuple[Problem, ...])
assert_type(workflow.journal_problems(Resources()), tuple[Problem, ...])
assert_type(workflow.journal_problems(), tuple[Problem, ...])


# ---- accepted: splits


async def near(http: Http) -> Row:
    return Row()


async def far() -> int:
    return 3


@workflow.branch
async def price(page: Page, http: Http) -> Row:
    return Row()


@workflow.branch(retry=Retry.none(), attempt_timeout=2.0, name="slow", breaker=CircuitBreaker())
async def slow() -> Row:
    return Row()


class Bid(BranchTask[Row]):
    retry = Retry.none()

    async def run(self, http: Http) -> Row:
        return Row()


workflow.register_split(Step.FETCH, Split.all([near, far, slow, Bid(), Fetch()], Step.PARSE, timeout=5, bulkhead=2))
workflow.register_split(
    Step.FETCH, Split.any({"near": near, "bid": Bid()}, then=Step.PARSE), on_error={SplitFailed: Step.DONE}
)
workflow.register_split(Step.FETCH, Split.quorum((near, far), 1, Step.PARSE, collect=True), name="ask")
workflow.register_split(Step.FETCH, Split.percentage((branch for branch in [near]), 0.5, Step.PARSE))
workflow.register_split(Step.FETCH, Split.by_deadline([near, far], Step.PARSE, timeout=3, least=1))


@workflow.split(Step.FETCH, retry=Retry.none())
async def fan_out(store: MemoryStore) -> Literal[Step.DONE] | Split[Literal[Step.REPORT]]:
    if store.get("many", bool):
        return Split.over(price, [Page()], Step.REPORT, rule=JoinRule.quorum(1), timeout=3)
    return Step.DONE


@workflow.split(Step.FETCH)
async def fan_out_only() -> Split[Step]:
    return Split.over(price, {"first": Page()}, Step.REPORT)


class FanOut(SplitTask[Step]):
    attempt_timeout = 3.0

    async def split(self, http: Http) -> Split[Literal[Step.REPORT]]:
        return Split.over(price, [Page()], Step.REPORT)


workflow.register(Step.FETCH, FanOut())


@workflow.task(Step.REPORT)
async def joined(results: BranchResults[Row]) -> Literal[Step.DONE]:
    assert_type(results["near"], outcome.Maybe[Row])
    assert_type(results.successes, dict[str, Row])
    assert_type(results.failures, dict[str, BaseException])
    assert_type(results.missing, tuple[str, ...])
    return Step.DONE


# ---- accepted: child workflows

invoices = Workflow(Pay, initial=Pay.START, exits=[Pay.PAID], data=Invoice)
same = Workflow(Pay, initial=Pay.START, exits=[Pay.PAID], data=Order)


def to_invoice(order: Order, http: Http) -> Invoice:
    return Invoice(3)


def from_invoice(invoice: Invoice, order: Order) -> None:
    order.sku = str(invoice.number)


workflow.register_child(Step.FETCH, payment, {Pay.PAID: Step.PARSE}, name="pay", on_error={OSError: Step.FAILED})
orders.register_child(Step.FETCH, same, {Pay.PAID: Step.DONE})
orders.register_child(Step.FETCH, orders, {Step.DONE: Step.DONE})
orders.register_child(Step.FETCH, invoices, {Pay.PAID: Step.DONE}, data=to_invoice, result=from_invoice)
orders.register_child(Step.FETCH, invoices, {Pay.PAID: Step.DONE}, data=lambda: Invoice(3))


# ---- accepted: resources, observers


@asynccontextmanager
async def open_http() -> AsyncGenerator[Http, None]:
    yield Http()


resources = Resources(http=Shared(open_http), store=PerRun(MemoryStore), plain=3)


class Printer:
    def on_event(self, event: Event, /) -> None:
        match event:
            case AttemptFailed():
                assert_type(event.error, Exception)
            case RetryScheduled():
                assert_type(event.delay, float)
            case RunEnded():
                assert_type(event.status, RunStatus)
            case Published():
                assert_type(event.value, object)
            case _:
                print(event.run_id, event.workflow, event.time)


printer: Observer = Printer()


# ---- accepted: running, and unit tests of decorated names


async def running() -> None:
    assert_type(await workflow.orchestrate(), Step)
    assert_type(await workflow.orchestrate(Step.PARSE, resources=resources, run_id="r", observers=[printer]), Step)
    assert_type(await workflow.run(), RunResult[Step, None])
    assert_type(await workflow.run(start=Step.PARSE), RunResult[Step, None])
    assert_type(await orders.run(Order("W-7")), RunResult[Step, Order])
    assert_type(await orders.orchestrate(data=Order("W-7")), Step)
    result = await orders.run(Order("W-7"), start=Step.FETCH, observers=[Printer()])
    assert_type(result.data, Order)
    assert_type(result.path, tuple[Step, ...])
    if result.state is Step.DONE:
        print(result.data.sku)
    assert_type(await ask(Approved("mo"), Order("W-7")), Step)
    async with trio.open_nursery() as nursery:
        run: Run[Step, Order] = await nursery.start(orders.run, Order("W-7"))
        assert_type(run.state, Step)
        assert_type(run.id, str)
        assert_type(await run.send(Approved("mo")), bool)
        assert_type(run.send_nowait(Rejected("dear"), key="a"), bool)
        plain_run: Run[Step] = await nursery.start(workflow.run)
        assert_type(plain_run, Run[Step, None])
    assert_type(await fetch(Http(), MemoryStore(), limit=4), Step)
    assert_type(await parse(Page(), Http()), Row)
    assert_type(await pages(MemoryStore()), Sequence[Page])
    assert_type(await choose(resources), Step)
    assert_type(await look(Http()), Step | Pending)
    assert_type(await pause(MemoryStore()), float)
    assert_type(await until(), datetime)
    assert_type(await go_on(Http()), Step)
    assert_type(await copy(None, Http()), More[Page] | Step)
    assert_type(await consume(Page(), Http()), tuple[Row, int])
    assert_type(await writes([Row()], MemoryStore()), Step | None)
    async for page in is_a_generator(None, http=Http()):
        assert_type(page, Page)
    async with is_a_safe_channel(3, Http()) as pages_of_it:
        async for page in pages_of_it:
            assert_type(page, Page)
    async with resources:
        await workflow.run(resources=resources)
    try:
        await workflow.run()
    except DefinitionError as error:
        assert_type(error.problems, tuple[Problem, ...])
    except RollbackFailed as failed:
        assert_type(failed.original, Exception)
        assert_type(failed.left, tuple[Enum, ...])
    except Exception as error:
        if context := failure_context(error):
            assert_type(context.attempts, int)
            assert_type(context.rollback, Rollback | None)


# ---- accepted: schedules


def order_of(instant: datetime) -> Order:
    return Order(instant.date().isoformat())


patient = Restart(5, within=60, backoff=Backoff(base=1))
assert_type(patient.delay([1.0, 2.0]), float | None)


async def supervising(runtime: Runtime) -> None:
    run = await runtime.start(orders, Order("W-7"), run_id="order-42", restart=patient)
    assert_type(run, Run[Step, Order])
    async with runtime.open_group("one_for_all", restart=Restart(3, within=10)) as group:
        assert_type(group, Group)
        assert_type(await group.start(workflow), Run[Step, None])
        assert_type(await group.start(orders, Order("W-7"), run_id="r", labels={"team": "ops"}), Run[Step, Order])
        await group.start(orders, Order("W-7"), start=Step.PARSE, delay=3, on_duplicate="attach")
    try:
        await run.wait()
    except SupervisorGaveUp as error:
        assert_type(error.history, tuple[RestartCause, ...])
        assert_type(error.history[0].time, float)


heartbeat = Schedule("heartbeat", workflow, Every(30, jitter=2.0), overlap="cancel_previous", labels={"team": "ops"})
assert_type(heartbeat, Schedule[None])
nightly = Schedule(
    "nightly", orders, Cron("0 3 * * *", "Europe/Berlin"), data=order_of, misfire="run_all", trip_after=3,
    backoff=Backoff(base=5, maximum=600),
)  # fmt: skip
assert_type(nightly, Schedule[Order])
assert_type(nightly.data, Callable[[datetime], Order] | None)
assert_type(Every(300, fixed_rate=True).after(datetime.now()), datetime | None)
asked = Schedule("asked", orders, Manual(), data=lambda instant: Order(str(instant)), overlap="queue", queue_limit=5)
assert_type(asked, Schedule[Order])


# ---- rejected: definitions

Workflow(Step, initial=Step.FETCH, exits=Step.DONE)  # type: ignore[arg-type]
Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], data=Order("x"))  # type: ignore[arg-type]
Workflow(Step, initial="FETCH", exits=[Step.DONE])  # type: ignore[type-var]
Workflow(Step, initial=Step.FETCH)  # type: ignore[call-arg]
Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], version="2")  # type: ignore[arg-type]
Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], timeout="3")  # type: ignore[arg-type]
Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], accepts=["1"])  # type: ignore[list-item]
Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], migrate=fetch)  # type: ignore[arg-type]
Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], aliases={"OLD": "DONE"})  # type: ignore[type-var]
foreign: Workflow[Step] = Workflow(Step, initial=Pay.START, exits=[Step.DONE])  # type: ignore[arg-type]


@workflow.task(Step.FETCH)
async def returns_what_it_does_not_name() -> Literal[Step.PARSE]:
    return Step.DONE  # type: ignore[return-value]


@workflow.task(Step.FETCH)  # type: ignore[arg-type]
async def another_enum() -> Literal[Pay.PAID]:
    return Pay.PAID


@workflow.task(Pay.PAID)  # type: ignore[arg-type]
async def a_state_of_another_enum() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task(Step.FETCH)  # type: ignore[arg-type]
def sync() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task(Step.FETCH)  # type: ignore[arg-type]
async def no_state(http: Http) -> None: ...


@workflow.task(Step.FETCH)  # type: ignore[arg-type]
async def a_name_for_a_state() -> Literal["DONE"]:
    return "DONE"


@workflow.task(Step.FETCH)
async def falls_off_the_end(http: Http) -> Literal[Step.DONE]:  # type: ignore[return]
    print(http)


@workflow.task(Step.FETCH, retry=3)  # type: ignore[arg-type]
async def wrong_option() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task(Step.FETCH, timeout=3)  # type: ignore[call-arg]
async def unknown_option() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task(Step.FETCH, on_open="ignore")  # type: ignore[arg-type]
async def unknown_word() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task(Step.FETCH, on_error={OSError: Pay.PAID})  # type: ignore[dict-item]
async def error_edge_to_another_enum() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task  # type: ignore[arg-type]
async def no_state_given() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.router(Step.FETCH)  # type: ignore[arg-type]
async def router_returns_nothing() -> None: ...


@workflow.batch(Step.PARSE, concurrency="8")  # type: ignore[arg-type]
async def wrong_concurrency(page: Page) -> Row:
    return Row()


@workflow.batch(Step.PARSE)  # type: ignore[arg-type]
async def no_item() -> Row:
    return Row()


@parse.load  # type: ignore[arg-type]
async def lists_other_items() -> list[str]:
    return []


@parse.load  # type: ignore[arg-type]
async def lists_nothing() -> Page:
    return Page()


@parse.finish  # type: ignore[arg-type]
async def other_results(results: BatchResults[str, Row]) -> Literal[Step.DONE]:
    return Step.DONE


@parse.finish  # type: ignore[arg-type]
async def no_results() -> Literal[Step.DONE]:
    return Step.DONE


@parse.finish  # type: ignore[arg-type]
async def plain_results(results: list[Row]) -> Literal[Step.DONE]:
    return Step.DONE


@parse.finish  # type: ignore[arg-type]
async def finishes_elsewhere(results: BatchResults[Page, Row]) -> Literal[Pay.PAID]:
    return Pay.PAID


@orders.receive(Step.REPORT)  # type: ignore[arg-type]
async def no_message() -> Literal[Step.DONE]:
    return Step.DONE


@orders.receive(Step.REPORT)  # type: ignore[arg-type]
async def message_leads_elsewhere(message: Approved) -> Literal[Pay.PAID]:
    return Pay.PAID


@orders.receive(Step.REPORT, timeout="3")  # type: ignore[arg-type]
async def wrong_timeout(message: Approved) -> Literal[Step.DONE]:
    return Step.DONE


@ask.on_timeout  # type: ignore[arg-type]
async def timeout_leads_elsewhere() -> Literal[Pay.PAID]:
    return Pay.PAID


@ask.on_timeout  # type: ignore[arg-type]
async def timeout_leads_nowhere() -> None: ...


class MessageLeadsElsewhere(ReceiveTask[Step, Approved]):
    timeout = "3"  # type: ignore[assignment]

    async def on_message(self, message: Approved) -> Literal[Pay.PAID]:  # type: ignore[override]
        return Pay.PAID

    async def on_timeout(self) -> Literal[Pay.PAID]:  # type: ignore[override]
        return Pay.PAID


async def asks_wrongly(run: Run[Step, Order], question: HowMany) -> None:
    await run.ask(Approved("mo"))  # type: ignore[arg-type]
    await run.ask(HowMany)  # type: ignore[arg-type]
    text: str = await run.ask(question)  # type: ignore[arg-type]
    print(text)
    question.reply("many")  # type: ignore[arg-type]
    question.reply()  # type: ignore[call-arg]


@workflow.task(Step.PARSE)
async def receives_wrongly(ctx: RunContext[Approved], rejecting: RunContext[Rejected]) -> Literal[Step.DONE]:
    rejected: Rejected = await ctx.receive()  # type: ignore[assignment]
    print(rejected)
    await ctx.receive(Approved("mo"))  # type: ignore[call-overload]
    await ctx.receive(Approved, Rejected)  # type: ignore[call-overload]
    ctx.receive()  # type: ignore[unused-coroutine]
    other: RunContext[Approved] = rejecting  # type: ignore[assignment]
    print(other)
    return Step.DONE


class OnlyTimeout(ReceiveTask[Step, Approved]):
    async def on_timeout(self) -> Literal[Step.DONE]:
        return Step.DONE


@workflow.poll(Step.FETCH)  # type: ignore[arg-type]
async def looks_for_nothing() -> Pending | None: ...


@workflow.poll(Step.FETCH)  # type: ignore[arg-type]
async def looks_elsewhere() -> Literal[Pay.PAID] | Pending:
    return Pay.PAID


@workflow.poll(Step.FETCH, max_errors="3")  # type: ignore[arg-type]
async def wrong_errors() -> Literal[Step.DONE] | Pending:
    return Step.DONE


@workflow.poll(Step.FETCH, backoff=3)  # type: ignore[arg-type]
async def wrong_backoff() -> Literal[Step.DONE] | Pending:
    return Step.DONE


@workflow.task(Step.FETCH, max_errors=3)  # type: ignore[call-arg]
async def option_of_a_poll() -> Literal[Step.DONE]:
    return Step.DONE


@workflow.task(Step.FETCH)  # type: ignore[arg-type]
async def pending_task() -> Literal[Step.DONE] | Pending:
    return Step.DONE


@workflow.timer(Step.FETCH)  # type: ignore[type-var]
async def waits_for_a_word() -> str:
    return "soon"


@pause.after_wait  # type: ignore[arg-type]
async def goes_nowhere() -> None: ...


@pause.after_wait  # type: ignore[arg-type]
async def goes_elsewhere() -> Literal[Pay.PAID]:
    return Pay.PAID


@workflow.stepped(Step.PARSE)  # type: ignore[arg-type]
async def takes_no_cursor() -> More[int] | Literal[Step.DONE]:
    return Step.DONE


@workflow.stepped(Step.PARSE)  # type: ignore[misc]
async def takes_another_cursor(cursor: str | None) -> More[int] | Literal[Step.DONE]:
    return Step.DONE


@workflow.stepped(Step.PARSE)  # type: ignore[arg-type]
async def never_without_a_cursor(cursor: int) -> More[int] | Literal[Step.DONE]:
    return Step.DONE


@workflow.stepped(Step.PARSE)  # type: ignore[arg-type]
async def steps_elsewhere(cursor: int | None) -> More[int] | Literal[Pay.PAID]:
    return Pay.PAID


@workflow.stepped(Step.PARSE)
async def returns_another_cursor(cursor: int | None) -> More[int] | Literal[Step.DONE]:
    return More("1")  # type: ignore[arg-type]


@workflow.compensatable(Step.PARSE)  # type: ignore[arg-type]
async def sells_elsewhere() -> tuple[Literal[Pay.PAID], int]:
    return Pay.PAID, 1


@workflow.compensatable(Step.PARSE)
async def another_receipt() -> tuple[Literal[Step.DONE], int]:
    return Step.DONE, "1"  # type: ignore[return-value]


@workflow.compensatable(Step.PARSE)
async def another_state() -> tuple[Literal[Step.DONE], int]:
    return Step.REPORT, 1  # type: ignore[return-value]


@workflow.compensatable(Step.PARSE, hold="3")  # type: ignore[arg-type]
async def wrong_hold() -> tuple[Literal[Step.DONE], int]:
    return Step.DONE, 1


@workflow.compensatable(Step.PARSE, compensate_retries=3)  # type: ignore[call-arg]
async def wrong_word() -> tuple[Literal[Step.DONE], int]:
    return Step.DONE, 1


@charge.compensate  # type: ignore[arg-type]
async def takes_another_receipt(receipt: int) -> None: ...


@charge.compensate  # type: ignore[arg-type]
async def takes_no_receipt() -> None: ...


@charge.compensate  # type: ignore[arg-type]
def undoes_at_once(receipt: Row) -> None: ...


class WrongCharge(CompensatableTask[Step, Row]):
    hold = "3"  # type: ignore[assignment]

    async def run(self) -> tuple[Literal[Pay.PAID], Row]:  # type: ignore[override]
        return Pay.PAID, Row()

    async def compensate(self, receipt: Row) -> None: ...


class OtherReceipt(CompensatableTask[Step, Row]):
    async def run(self) -> tuple[Literal[Step.DONE], int]:  # type: ignore[override]
        return Step.DONE, 1

    async def compensate(self, receipt: Row) -> None: ...


class NoCompensation(CompensatableTask[Step, Row]):
    async def run(self) -> tuple[Literal[Step.DONE], Row]:
        return Step.DONE, Row()


class WrongLook(PollTask[Step]):
    backoff = 3  # type: ignore[assignment]
    max_errors = "3"  # type: ignore[assignment]

    async def poll(self) -> Literal[Pay.PAID] | Pending:  # type: ignore[override]
        return Pay.PAID


class WrongPause(TimerTask[Step]):
    async def wait(self) -> str:  # type: ignore[override]
        return "soon"

    async def after_wait(self) -> Pending:  # type: ignore[override]
        return Pending()


class WrongCopy(SteppedTask[Step, Page]):
    async def step(self, cursor: Page | None, /) -> More[Row] | Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


@workflow.stream(Step.REPORT, window=3)  # type: ignore[arg-type]
async def wrong_window(page: Page) -> tuple[Row, int]:
    return Row(), 1


@workflow.stream(Step.REPORT, on_item_error="retry")  # type: ignore[arg-type]
async def unknown_policy(page: Page) -> tuple[Row, int]:
    return Row(), 1


@workflow.stream(Step.REPORT)  # type: ignore[arg-type]
async def no_cursor(page: Page) -> Row:
    return Row()


@consume.open  # type: ignore[arg-type]
async def other_cursor(cursor: str | None) -> trio.MemoryReceiveChannel[Page]:
    return trio.open_memory_channel[Page](0)[1]


@consume.open  # type: ignore[arg-type]
async def always_a_cursor(cursor: int) -> trio.MemoryReceiveChannel[Page]:
    return trio.open_memory_channel[Page](0)[1]


@consume.open  # type: ignore[arg-type]
async def other_items(cursor: int | None) -> AsyncIterator[str]:
    yield ""


@consume.open  # type: ignore[arg-type]
async def no_source(cursor: int | None) -> list[Page]:
    return []


@consume.flush_window  # type: ignore[arg-type]
async def other_outputs(rows: list[str]) -> None: ...


@consume.flush_window  # type: ignore[arg-type]
async def stops_elsewhere(rows: list[Row]) -> Literal[Pay.PAID] | None:
    return None


@consume.on_close  # type: ignore[arg-type]
async def other_reason(reason: str) -> Literal[Step.DONE]:
    return Step.DONE


@consume.on_close  # type: ignore[arg-type]
async def names_no_state(reason: CloseReason) -> None: ...


@consume.dead_letter  # type: ignore[arg-type]
async def buries_others(page: str, error: Exception) -> None: ...


class OtherEnum(Task[Step]):
    async def run(self) -> Literal[Pay.PAID]:  # type: ignore[override]
        return Pay.PAID


class Sync(Task[Step]):
    def run(self) -> Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class Misspelt(Task[Step]):
    async def rum(self) -> Literal[Step.DONE]:
        return Step.DONE


class WrongAttribute(Task[Step]):
    attempt_timeout = "3"  # type: ignore[assignment]

    async def run(self) -> Literal[Step.DONE]:
        return Step.DONE


class WrongBatch(BatchTask[Step, Page, Row]):
    concurrency = "8"  # type: ignore[assignment]

    async def load(self) -> list[str]:  # type: ignore[override]
        return []

    async def process_item(self, page: Page) -> Row:
        return Row()

    async def finish(self, results: BatchResults[Page, Row]) -> Literal[Step.DONE]:
        return Step.DONE


class OtherOutput(BatchTask[Step, Page, Row]):
    async def load(self) -> list[Page]:
        return []

    async def process_item(self, item: Page) -> str:  # type: ignore[override]
        return ""

    async def finish(self, results: BatchResults[Page, Row]) -> Literal[Step.DONE]:
        return Step.DONE


class OtherCursor(StreamTask[Step, Page, Row, int]):
    window = 3  # type: ignore[assignment]

    async def open(self, cursor: int | None) -> AsyncIterator[str]:  # type: ignore[override]
        yield ""

    async def process_item(self, page: Page) -> tuple[Row, str]:  # type: ignore[override]
        return Row(), ""

    async def flush_window(self, rows: list[Row]) -> Literal[Pay.PAID]:  # type: ignore[override]
        return Pay.PAID

    async def on_close(self, reason: CloseReason) -> None:  # type: ignore[override]
        ...


def blocking() -> Literal[Step.DONE]:
    return Step.DONE


class PayTask(Task[Pay]):
    async def run(self) -> Literal[Pay.PAID]:
        return Pay.PAID


workflow.register(Step.FETCH, Misspelt())  # type: ignore[abstract]
workflow.register(Step.FETCH, PayTask())  # type: ignore[arg-type]
workflow.register(Step.FETCH, PayTask)  # type: ignore[arg-type]
workflow.register(Pay.PAID, fetch)  # type: ignore[call-overload]
workflow.register(Step.FETCH, blocking)  # type: ignore[arg-type]
workflow.register(Step.FETCH, fetch, concurrency=3)  # type: ignore[call-overload]
workflow.register(Step.FETCH, Fetch(), item_retry=Retry.none())  # type: ignore[call-overload]
workflow.register(Step.PARSE, Parse(), item_retry=3)  # type: ignore[call-overload]
workflow.register(Step.PARSE, OnlyTimeout())  # type: ignore[abstract]
workflow.register(Step.PARSE, Ask(), timeout="3")  # type: ignore[call-overload]
workflow.register(Step.PARSE, Fetch(), timeout=3.0)  # type: ignore[call-overload]
workflow.register(Step.PARSE, Parse(), attempts=3)  # type: ignore[call-overload]
workflow.register(Pay.PAID, Parse())  # type: ignore[call-overload]
workflow.register(Step.PARSE, Look(), max_errors="3")  # type: ignore[call-overload]
workflow.register(Step.PARSE, Pause(), max_errors=3)  # type: ignore[call-overload]
workflow.register(Pay.PAID, Copy())  # type: ignore[call-overload]
workflow.register(Pay.PAID, Charge())  # type: ignore[call-overload]
workflow.register(Step.PARSE, Charge(), holds=3.0)  # type: ignore[call-overload]
workflow.register(Step.PARSE, NoCompensation())  # type: ignore[abstract]
Pending(3)  # type: ignore[call-arg]
Pending(delay="3")  # type: ignore[arg-type]
More()  # type: ignore[call-arg]
Backoff(1)  # type: ignore[call-arg]
workflow.register(Step.PARSE, Consume(), window=3)  # type: ignore[call-overload]
Window(3)  # type: ignore[call-arg]
workflow.with_tasks({Pay.PAID: fetch})  # type: ignore[dict-item]
workflow.with_tasks({Step.FETCH: blocking})  # type: ignore[dict-item]
Retry(3)  # type: ignore[call-arg]
Retry.fixed(2)  # type: ignore[call-arg]
TaskConfig(retry=3)  # type: ignore[arg-type]
TaskConfig(timeout=3)  # type: ignore[call-arg]
wrong_options: TaskOptions[Step] = {"retires": Retry.none()}  # type: ignore[typeddict-unknown-key]


# ---- rejected: splits


def sync_branch() -> int:
    return 3


workflow.register_split(Step.FETCH, Split.all([sync_branch], Step.DONE))  # type: ignore[list-item]
workflow.register_split(Step.FETCH, Split.all([Bid], Step.DONE))  # type: ignore[list-item]
workflow.register_split(Step.FETCH, Split.all(near, Step.DONE))  # type: ignore[arg-type]
workflow.register_split(Step.FETCH, Split.all([near], Pay.PAID))  # type: ignore[arg-type]
workflow.register_split(Step.FETCH, Split.quorum([near], Step.DONE))  # type: ignore[call-arg, arg-type]
workflow.register_split(Step.FETCH, Split.quorum([near], "1", Step.DONE))  # type: ignore[arg-type]
workflow.register_split(Step.FETCH, Split.by_deadline([near], Step.DONE))  # type: ignore[call-arg]
workflow.register_split(Step.FETCH, Split.all([near], Step.DONE), retry=Retry.none())  # type: ignore[call-arg]
workflow.register_split(Step.FETCH, [near])  # type: ignore[arg-type]
workflow.register(Step.FETCH, Bid())  # type: ignore[arg-type]
Split.over(price, ["page"], Step.REPORT)  # type: ignore[misc]
Split.over(far, [Page()], Step.REPORT)  # type: ignore[arg-type]
Split.over(price, [Page()], Step.REPORT, rule="any")  # type: ignore[arg-type]


workflow.branch(on_error={OSError: Step.DONE})  # type: ignore[call-overload]


@workflow.branch  # type: ignore[type-var]
def sync_declared() -> Row:
    return Row()


@workflow.task(Step.FETCH)  # type: ignore[arg-type]
async def task_splits() -> Split[Literal[Step.REPORT]]:
    return Split.over(price, [Page()], Step.REPORT)


@workflow.split(Step.FETCH)
async def joins_elsewhere() -> Split[Literal[Step.REPORT]]:
    return Split.over(price, [Page()], Step.DONE)  # type: ignore[arg-type]


@workflow.split(Step.FETCH)  # type: ignore[arg-type]
async def joins_in_another_enum() -> Split[Pay]:
    return Split.over(price, [Page()], Pay.PAID)


class OtherSplit(SplitTask[Step]):
    async def split(self) -> Split[Literal[Pay.PAID]]:  # type: ignore[override]
        return Split.over(price, [Page()], Pay.PAID)


class OtherValue(BranchTask[Row]):
    async def run(self) -> int:  # type: ignore[override]
        return 3


# ---- rejected: child workflows


def to_order(order: Order) -> Order:
    return order


async def slowly(order: Order) -> Invoice:
    return Invoice(3)


workflow.register_child(Step.FETCH, payment, {Pay.PAID: Pay.PAID})  # type: ignore[dict-item]
workflow.register_child(Step.FETCH, payment, {Step.DONE: Step.PARSE})  # type: ignore[misc]
workflow.register_child(Step.FETCH, payment, {"PAID": Step.PARSE})  # type: ignore[misc]
workflow.register_child(Step.FETCH, payment, [Pay.PAID])  # type: ignore[arg-type]
workflow.register_child(Pay.START, payment, {Pay.PAID: Step.PARSE})  # type: ignore[arg-type]
workflow.register_child(Step.FETCH, Pay, {Pay.PAID: Step.PARSE})  # type: ignore[arg-type]
workflow.register_child(Step.FETCH, payment, {Pay.PAID: Step.PARSE}, on_error={OSError: Pay.PAID})  # type: ignore[dict-item]
workflow.register_child(Step.FETCH, payment, {Pay.PAID: Step.PARSE}, retry=Retry.none())  # type: ignore[call-arg]
orders.register_child(Step.FETCH, invoices, {Pay.PAID: Step.DONE}, data=to_order)  # type: ignore[arg-type]
orders.register_child(Step.FETCH, invoices, {Pay.PAID: Step.DONE}, data=slowly)  # type: ignore[arg-type]
orders.register_child(Step.FETCH, invoices, {Pay.PAID: Step.DONE}, data=to_invoice, result=to_invoice)  # type: ignore[arg-type]
orders.register_child(Step.FETCH, invoices, {Pay.PAID: Step.DONE}, data=Invoice(3))  # type: ignore[arg-type]


# ---- rejected: running


class NoObserver:
    def on_event(self) -> None: ...


async def wrong_running() -> None:
    await workflow.orchestrate(Pay.START)  # type: ignore[call-overload]
    await workflow.orchestrate(data=Order("x"))  # type: ignore[call-overload]
    await workflow.run(Order("x"))  # type: ignore[call-overload]
    await orders.run()  # type: ignore[call-arg]
    await orders.run(Invoice(1))  # type: ignore[arg-type]
    await orders.run(data=Order("x"))  # type: ignore[call-arg]
    await orders.orchestrate()  # type: ignore[call-arg]
    await orders.orchestrate(data=Invoice(1))  # type: ignore[arg-type]
    await orders.run(Order("x"), start=Pay.START)  # type: ignore[arg-type]
    await orders.run(Order("x"), observers=[NoObserver()])  # type: ignore[list-item]
    await orders.run(Order("x"), resources={"http": Http()})  # type: ignore[arg-type]
    result = await orders.run(Order("x"))
    print(result.data.number)  # type: ignore[attr-defined]
    print(result.state is Pay.PAID)  # type: ignore[comparison-overlap]
    result.state = Step.DONE  # type: ignore[misc]
    workflow.run()  # type: ignore[unused-coroutine]
    await parse("page", Http())  # type: ignore[arg-type]
    await parse(Page())  # type: ignore[call-arg]
    await fetch(http=3, store=MemoryStore())  # type: ignore[arg-type]
    text: str = resources.get(Http)  # type: ignore[assignment]
    print(text)
    RunContext()  # type: ignore[call-arg]
    Run()  # type: ignore[call-arg]


async def wrong_handles(run: Run[Step, Order], other: trio.TaskStatus[Run[Step, Invoice]]) -> None:
    await orders.run(Order("x"), task_status=other)  # type: ignore[arg-type]
    await workflow.run(task_status=other)  # type: ignore[arg-type]
    await run.send()  # type: ignore[call-arg]
    await run.send(Approved("mo"), key=3)  # type: ignore[arg-type]
    run.send(Approved("mo"))  # type: ignore[unused-coroutine]
    run.state = Step.DONE  # type: ignore[misc]
    print(run.state is Pay.PAID)  # type: ignore[comparison-overlap]
    wrong: Run[Pay, Order] = run  # type: ignore[assignment]
    print(wrong)
    await ask(Order("x"), Order("x"))  # type: ignore[arg-type]


def invoice_of(instant: datetime) -> Invoice:
    return Invoice(instant.day)


async def order_later(instant: datetime) -> Order:
    return Order(str(instant))


Schedule("nightly", orders, Every(300))  # type: ignore[arg-type]
Schedule("nightly", orders, Every(300), data=invoice_of)  # type: ignore[arg-type]
Schedule("nightly", orders, Every(300), data=order_later)  # type: ignore[arg-type]
Schedule("nightly", orders, Every(300), data=Order("x"))  # type: ignore[call-overload]
Schedule("nightly", workflow, Every(300), data=order_of)  # type: ignore[misc]
Schedule("nightly", workflow, 300)  # type: ignore[call-overload]
Schedule("nightly", workflow, Every(300), overlap="drop")  # type: ignore[call-overload]
Schedule("nightly", workflow, Every(300), misfire="queue")  # type: ignore[call-overload]
Schedule("nightly", workflow, Every(300), trip_afer=3)  # type: ignore[call-overload]
Schedule("nightly", "orders", Every(300))  # type: ignore[call-overload]
Every("300")  # type: ignore[arg-type]
Every(300, True)  # type: ignore[call-arg]
Cron("0 3 * * *", 2)  # type: ignore[arg-type]
Manual(300)  # type: ignore[call-arg]
heartbeat.name = "other"  # type: ignore[misc]


async def supervising_wrongly(runtime: Runtime) -> None:
    Restart(5)  # type: ignore[call-arg]
    Restart(5, 60, Backoff())  # type: ignore[call-arg]
    Restart("5", within=60)  # type: ignore[arg-type]
    Restart(5, within=60, backoff=3.0)  # type: ignore[arg-type]
    patient.within = 3.0  # type: ignore[misc]
    await runtime.start(orders, Order("x"), restart=5)  # type: ignore[call-overload]
    runtime.open_group("simple_one_for_one", restart=patient)  # type: ignore[arg-type]
    runtime.open_group("one_for_one")  # type: ignore[call-arg]
    async with runtime.open_group("one_for_one", restart=patient) as group:
        await group.start(orders)  # type: ignore[arg-type]
        await group.start(workflow, Order("x"))  # type: ignore[misc]
        await group.start(orders, Order("x"), restart=patient)  # type: ignore[call-overload]
        await group.start(orders, Order("x"), start=Pay.PAID)  # type: ignore[misc]
    Group()  # type: ignore[call-arg]
