"""The benchmark's rounds: whose turn it is, what counts, when a row is settled and which row comes next."""

import math

import pytest

from benchmarks import passes
from benchmarks.measure import FEWEST, Plan, Turn, alternate, geometric_mean, ratio
from benchmarks.rounds import WAITED, Rounds


def test_peers_take_turns_and_no_one_always_goes_first():
    log = []

    def timer(peer, seconds):
        def time(repetitions):
            log.append((peer, repetitions))
            return Turn(seconds)

        return time

    times = alternate(
        {"a": timer("a", 0.001), "b": timer("b", 0.002)}, Plan(rounds=4, block=0.01, budget=1.0)
    )
    assert log == [("a", 1), ("b", 1)] + [("a", 10), ("b", 5), ("b", 5), ("a", 10)] * 2
    assert times == {"a": [Turn(0.001)] * 4, "b": [Turn(0.002)] * 4}


def test_slow_rows_are_measured_in_few_rounds():
    times = alternate({"a": lambda repetitions: Turn(5.0)}, Plan(budget=1.0))
    assert times == {"a": [Turn(5.0)] * FEWEST}


def test_ratio_pairs_the_rounds():
    assert ratio([1, 1, 10, 1, 1], [2, 3, 30, 4, 5]) == (3, 3, 4)
    assert geometric_mean([1, 4]) == pytest.approx(2)
    assert math.isnan(geometric_mean([]))


def rounds_of(*ratios: float, waited: float = 0.0) -> dict[str, list[Turn]]:
    """A visit with a round for each ratio."""
    return {"cnnref": [Turn(1.0)] * len(ratios), "pytorch": [Turn(x, waited) for x in ratios]}


def pooled(*visits: dict[str, list[Turn]]) -> Rounds:
    found = Rounds()
    for visit in visits:
        found.add(visit)
    return found


def test_rounds_of_all_visits_count_those_that_disagree_too():
    found = pooled(rounds_of(2, 2, 2), rounds_of(9, 9, 9, 9))
    assert found.visits == 2
    assert found.ratio() == (9, 2, 9)
    assert found.record()["times"]["pytorch"] == [2, 2, 2, 9, 9, 9, 9]


def test_a_round_is_left_out_for_waiting_alone_and_never_the_last_three():
    found = pooled(rounds_of(5, 5, 1), rounds_of(7, 7, waited=WAITED + 0.01), rounds_of(100, waited=WAITED))
    assert found.left_out() == [False, False, False, True, True, False]
    record = found.record()
    assert record["seconds"] == {"cnnref": 1, "pytorch": 5}
    assert (record["left_out"], record["visits"], len(record["times"]["pytorch"])) == (2, 3, 6)
    never_free = pooled(rounds_of(5, 5), rounds_of(7, 7, waited=1.0))
    assert never_free.seconds("pytorch") == [5, 5, 7, 7]
    assert not pooled(rounds_of(5, 5, 5, waited=1.0)).settled()


@pytest.mark.parametrize(
    ("ratios", "settled"),
    [((2, 2.1, 2.2), True), ((2, 2.2, 3), False), ((0.9, 0.92, 0.95), True), ((0.98, 1.01, 1.02), False)],
)
def test_a_row_is_settled_when_its_quartiles_are_close_and_on_one_side_of_one(ratios, settled):
    assert pooled(rounds_of(*ratios)).settled() is settled


def test_rows_that_disagree_are_visited_first_until_they_agree_and_every_row_some_times():
    narrow, wide, hard = rounds_of(2, 2, 2), rounds_of(1.5, 2, 3), rounds_of(0.5, 1, 2)
    rows = {name: pooled(visit) for name, visit in {"a": narrow, "b": wide, "c": hard}.items()}
    log: list[tuple[str, int]] = []

    def visit(row, to_come):
        log.append((row, to_come))
        rows[row].add({"a": rounds_of(2, 2), "b": rounds_of(2, 2, 2), "c": hard}[row])

    passes.again(rows, visit, lambda: 1.0)
    # "b" agrees after its second visit, "c" never does.
    log_of_c = [("c", 1)] * (passes.MOST - 5)
    assert log == [("b", 2), ("c", 1), ("c", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2), ("c", 1), *log_of_c]
    assert {name: found.visits for name, found in rows.items()} == {"a": 3, "b": 3, "c": passes.MOST}


def test_no_visit_begins_when_the_time_is_up():
    rows = {name: pooled(rounds_of(1, 2, 3)) for name in "abc"}
    time = iter((2.0, 1.0, 0.0))
    log = []
    passes.again(rows, lambda row, to_come: log.append(row), lambda: next(time))
    assert log == ["a", "b"]
