"""Every example runs as a user would run it, and says what its documentation promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

ARGUMENTS = {"stdlib_census": ["--sample", "5"]}

SAYS = {
    "ad_exchange": [
        "    knows place, interests; too late: history",
        "    invites Harbour, Ropes, Yachts, Glacier",
        "    bids {'Ropes': 3.1, 'Harbour': 2.4, 'Glacier': 1.8}; too late: Yachts",
        "    SHOWN after 125 ms",
        "    invites nobody",
        "    NO_AD after 30 ms",
        "Ropes was told; Ropes owes 2.40",
    ],
    "agent": [
        "  Ada: What is 6 times 7?",
        "  agent to Ada: It is 42.",
        "  agent to Ada: It is 1.414.",
        "  agent to Ada: I only know numbers.",
        "  agent to Ada: 2 times, as far as I remember.",
        "  Ada and the agent are done: agent: Goodbye.",
        "  run 'Ada' takes no more messages: it is completed",
        "  agent to Bo: It is 144.",
    ],
    "aggregate": [
        "Oslo    Value(9.0) (attempts: 1)",
        "Bergen  Value(11.0) (attempts: 2)",
        "Tromsø  Error(ConnectionError('sensor is frozen')) (attempts: 2)",
        "ENOUGH: 10.0 degrees, nothing from Tromsø and Vardø",
    ],
    "api_client": [
        "A bad moment:",
        "  attempt 1 failed: Unavailable",
        "  next attempt in 0.02 s",  # what Retry-After asks for, not the policy
        "  attempt 2 failed: AttemptTimeout",
        "  next attempt in 0.08 s",
        "  got 42.00",
        "  attempt 3 failed: Unavailable",
        "  refused by the breaker 'upstream'",
        "  got 41.50 of yesterday, because of CircuitOpen",
        "7 requests in all; the breaker is closed",
    ],
    "approval": [
        "order-1: SHIPPED   cup, below the limit",
        "<Run 'order-1' completed SHIPPED>",
        "<Run 'order-2' waiting AWAIT_APPROVAL>",
        "Mo's mail is news: True",
        "Mo's mail is news: False",
        "no state of run 'order-3' takes a message of type str: they take Approved, Rejected",
        "order-3: DECLINED  yacht, Jo says it is too dear",
        "order-4: DECLINED  sofa, nobody answered",
    ],
    "bakery": [
        " bakery   WEIGH",
        "          5 of 5",
        "          4 of 4",
        "          waits 0.10 s: timer",
        "          waits 0.03 s: poll",
        "          baked bread, cake; rolls are charcoal",
        " bakery   DECORATE",
        "   cake   WRITE",
        " bakery   SELL",
        "          1 more served, 25 in the till",
        "          the door: ",
        " bakery   BANK",
        "          the apprentice puts the lights out; sold was a chocolate cake saying 'happy birthday', 25 are in the bank",
        "the day ended CLOSED",
    ],
    "bare": ["hello from a bare task", "the run ended in DONE"],
    "box_office": [
        "200 clients at once, 150 seats; at most ",
        "every guest has the seat that was promised: True",
        "every seat is sold once or free: True",
    ],
    "buoys": [
        "A day with waves:",
        "  all are in: Alpha HAULED_IN, Bravo HAULED_IN, Charlie HAULED_IN, after 4 restarts",
        "A day on which a battery dies:",
        "  after 7.2 h it is given up: more than 4 restarts within 43200 s",
        "    Bravo at 5.0 h: Bravo is silent",
        "    Bravo at 7.2 h: Bravo is silent",
    ],
    "crash_and_resume": [
        "  order-7/1 CHARGE: for the first time",
        "  ended by SIGKILL",
        "  order-7 is running in CHARGE",
        '    PRICE is finished, with {"cups":3,"price":36,"parcel":""}',
        "Resumed:",  # and not with PRICE
        "  order-7/1 CHARGE: once more",
        "  order-7/1 CHARGE: 36 was taken before",
        "  SHIPPED: Order(cups=3, price=36, parcel='N-3')",
        "  order-7 is completed in SHIPPED",
        "The bank's books: order-7/1 36",
    ],
    "custom_journal": [
        "  mail-1 is created in WRITE",
        "  mail-1 rev 1: WRITE is finished; it is running in SEND",
        "  mail-1 rev 2: it is running in SEND and is released",
        "SENT: Dear Ada. The log:",
        "  mail-1 is claimed",
        "  mail-1 rev 3: SEND is finished; it is completed in SENT",
    ],
    "docstring_words": [
        "asyncio   loop, ",
        "email     header, ",
        "json      json, ",
        "logging   logg",
        "xml       element, ",
    ],
    "greenhouse": [
        "looking after the greenhouse",
        "  measured 21.1",
        "  watering tomatoes",
        "  run 'water@",
        "  watered tomatoes",
        "  watering all beds",
        "stopping",
        "  watered all beds",
        "  measure (every 0.1 s) has run ",
        "  report (cron '* * * * * *' in Europe/Berlin) has run ",
        "  water (only when triggered) has run 2 times",
    ],
    "join_strategies": [
        "all:",
        "    failed: oslo answered, lima failed, kyiv, pune, nuuk cut off",
        "    after 2 s",
        "any:",
        "    met: oslo answered, none failed, lima, kyiv, pune, nuuk cut off",
        "quorum of 2:",
        "    after 3 s",
        "quorum of 2, collected:",
        "    after 60 s",
        "60 %:",
        "    after 4 s",
        "by a deadline of 10 s:",
        "    met: oslo, kyiv, pune answered, lima failed, nuuk cut off",
    ],
    "laboratory": [
        "crash:before:4,seed:0: AssertionError: charge: 2 in place of 1",
        '  replay(scenario, "crash:before:4,seed:0", ...) shows it again, with every event.',
        "  life 1     0.000 s   4 commit order-1: finished CHARGE, running in PACK   <-- crash before it",
        "cancel:run:14,seed:0: AssertionError: effects: charge without refund",
        "seed:2: AssertionError: packed ['manual in paper', 'kettle in paper']",
        "The first one again, with every event:",
        "Mended:",
        "  ordering: 7 of 7 states, 6 of 6 edges",
    ],
    "multi_tier": [
        "second   0: #######",  # a burst of four, and three more
        "second   5: ##",  # 25 calls, and the tokens of the minute are spent
        "second  60: #######",
        "second 121: ###",
        "tokens held 2 back",
        "minute held 0 back",
    ],
    "negotiation": [
        "round 1: Ada is offered 40, and says 90",
        "round 1: Bo is offered 90, and says 50",
        "round 3: Bo is offered 70, and says 70",
        "round 4: Ada takes 70",
        "<Run 'Ada' completed AGREED> <Run 'Bo' completed AGREED>",
        "round 2: Cy hangs up at 50",
        "Di hears nothing more",
    ],
    "order_service": [
        "The first day:",
        "  charged 8 as 8/0",
        '  GET /orders/8/end: 200 {"order": "8", "status": "completed", "state": "SHIPPED", ',
        '  GET /orders/7: 200 {"order": "7", "status": "waiting", "state": "AWAIT_DECISION", ',
        '  GET /orders/9: 404 {"error": "the journal has no run',
        "The second day:",
        '  POST /orders/7/decision: 422 {"error": "Expected `bool`, got `int` - at `$.yes`"}',
        '  POST /orders/7/decision: 200 {"news": true}',
        '  POST /orders/7/decision: 200 {"news": false}',
        '  GET /orders/7/end: 200 {"order": "7", "status": "completed", "state": "SHIPPED", ',
        '  POST /orders/7/decision: 409 {"error": "run ',
    ],
    "partial_results": [
        "12:00  41.75  by way of SETTLE",
        "       west: ASK[west] failed 2 times, the last time with AttemptTimeout",
        "19:00  41.00  by way of SETTLE",
        "21:00  39.00  by way of YESTERDAY",
        "       ASK needs 3 of 5 branches: 2 succeeded; south failed",
    ],
    "poll_courier": [
        "  N-17 after   0.0 h: 'in the shop'",
        "  N-17 after   3.0 h: ConnectionError('reset')",
        "  N-17 after   3.5 h: Busy()",  # asks for five hours itself
        "  N-17 after   8.5 h: 'in Bergen'",  # it has moved: the backoff begins anew
        "  N-17 after   9.5 h: 'in Bergen'",
        "N-17: ARRIVED after 0.5 days, taken in by the neighbour",
        "N-18: OVERDUE after 3.0 days",
    ],
    "resume_long_work": [
        "  reads from offset 0",
        "  killed at offset 1890",
        "  reads from offset 1400",  # two windows of 100 lines were flushed, of 7 bytes each
        "  step 2: 1480.0",
        "  killed at step 3",
        "Process 3:",
        "  step 3: 1640.0",
        "DONE: 600 lines, [1500.0, 1480.0, 1640.0, 1800.0, 1980.0]",
    ],
    "routing": [
        " 40 kg to JP: BY_WEIGHT -> FREIGHT -> SENT for 90",
        "  5 kg to SE: BY_WEIGHT -> BY_PLACE -> TRUCK -> SENT for 10",
        "  2 kg to JP: BY_WEIGHT -> BY_PLACE -> PLANE -> SENT for 19",
    ],
    "saga_payment": [
        "A-1 with a courier:",
        "  RESERVE: 2 of W-7 put aside",
        "  CHARGE: 60 taken from Ada",
        "  SHIP: sent as N-1",
        "  -> SHIPPED",
        "     in stock: 3, Ada has 40",
        "B-2 without one:",
        "  the refund failed, because the bank was busy; again in 0.5 s",
        "  undo CHARGE: 30 given back to Ada",
        "  undo RESERVE: 1 of W-7 put back",
        "  -> NoCourier: nobody drives to the moon",
        "     rolled back CHARGE, RESERVE",
        "     in stock: 3, Ada has 40",
        "C-3, and the bank hangs up:",
        "  undo CHARGE: looked up c-3/1: it was charged; 30 given back to Ada",
        "  -> AttemptTimeout",
        "     rolled back CHARGE, RESERVE",
        "     in stock: 3, Ada has 40",
        "D-4, cancelled while the bank is at work:",
        "  CHARGE: 30 taken from Ada",
        "  undo CHARGE: 30 given back to Ada",
        "  -> RunCancelled: the run was cancelled: the customer has changed her mind",
        "     in stock: 3, Ada has 40",
    ],
    "saga_recovery": [
        "  trip-1/2/undo: car given back",
        "  trip-1/1/undo: hotel given back",
        "  ended by SIGKILL",
        "The journal: trip-1 is rolling_back",
        "  FLIGHT finished, HOTEL finished, CAR finished, CAR undone",
        "  trip-1/1/undo: is done already",
        "  trip-1/0/undo: flight given back",
        "  -> NoVisa: the embassy is closed",
        "A third time: run 'trip-1' is rolled_back: ",
    ],
    "shared_limiter": ["sent by ", "8 messages in 0.", "the limit was kept"],
    "split_bulkhead": [
        "bulkhead None:",
        "    0.5 s, and 30 at once",
        "bulkhead 4:",
        "    465 words on 30 pages",
        "    4 s, and 4 at once",
    ],
    "stepped_migration": [
        "page 1 is moved",
        "  once more in 0.05 s: AttemptTimeout",
        "page 2 is moved",
        "page 3 is moved",
        "  once more in 0.05 s: ConnectionError",
        "page 4 is moved",
        "DONE: 1100 rows, the longest name is 'customer 1000'",
    ],
    "stdlib_census": [
        "files          5 in ",
        "lines ",
        "functions ",
        "classes ",
        "docstrings ",
        "most imported ",
        "slowest ",
    ],
    "stream_manual": [
        "Looking for nothing:",
        "   50 lines, ",
        "  exhausted, with ",
        "  most common: ",
        "  a dead letter: ",
        "Looking for Lambda:",
        "  stopped, with ",
        "  there is one in ",
    ],
    "timer_newsletter": [
        "  on time in GRACE waits 0.1 s",
        "  on time in STROKE waits 0.",
        "on time: SENT, 0 s from the stroke",
        "  late in STROKE waits 0.0 s",  # an instant that has passed
        "late: SENT, 6",
        "  regretted in GRACE waits 0.1 s",
        "regretted: TAKEN_BACK",
    ],
    "transform": ["5 rows became 3 totals", "Kyoto  30.00 euros", "Lima    8.00 euros", "Oslo   15.75 euros"],
    "trip": [
        "  STAY  (child hotel)",
        "    |   RESERVE  (compensatable reserve)",
        "    --> CAMP  FULL",
        "  a room in Oslo is reserved as to-Oslo/1/1",
        "  a room for 3 nights, 620 in all",
        "  a tent for 2 nights, 200 in all",
        "  the room to-Tromsø/1/1 is given back",
        "  the seat to-Tromsø/0 is given back",
        "  no trip, 820 is more than 700; undone: RESERVE, FLY",
    ],
    "two_tasks": [
        "generated 63 2 27 22 73 67 89 8 42 2",
        "5 of them are even",
        "by way of GENERATE -> COUNT -> DONE",
    ],
    "validate": [
        "Ada        VALID     all in order",
        "Methusalem REVIEW    more than three incomes, unusual age",
        "(nobody)   REJECTED  no name, under age, no income, more than three incomes",
        '    JUDGE -->|"in doubt"| REVIEW',
    ],
}


@pytest.mark.parametrize("name", sorted({path.stem for path in EXAMPLES.glob("*.py")} | SAYS.keys()))
def test_an_example_runs_clean_and_says_what_it_did(name: str) -> None:
    """With all warnings as errors it ends well, complains of nothing, and says these things in this order."""
    program = str(EXAMPLES / f"{name}.py")
    command = [sys.executable, "-X", "utf8", "-W", "error", program, *ARGUMENTS.get(name, [])]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = iter(done.stdout.splitlines())
    assert [text for text in SAYS.get(name, []) if not any(line.startswith(text) for line in said)] == []
