"""Refusals teach: the rule behind them is found, other cases are asked inside, and it may be declared."""

from __future__ import annotations

import pytest

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.generation.explain import explanation
from conformance.generation.generate import generate
from conformance.generation.inside import alike, plain
from conformance.generation.random import Stream
from conformance.generation.rules import FIXED, otherwise, parse, parse_all, phrase, said
from conformance.implementations import ALONE, LACKING, UNDECLARED
from conformance.operations import OPERATIONS
from conformance.runs.chain import Chain
from conformance.verdict.record import blank


def tiled(case):
    window = window_of(case)
    return all((a.n + a.before + a.after - a.span) % a.s == 0 for a in (window.rows, window.columns))


#: Modules by what they answer, with what is to be found, from how many cases on.
ANSWERS = {
    "square": ("conv_forward", lambda c: c["h"] == c["w"], 5),
    "tiles": ("conv_backward", tiled, 5),
    "tiles and apart": ("pool_forward", lambda c: tiled(c) and c.value("s") == c.value("f"), 5),
    "stride=1": ("conv_forward", lambda c: c.value("s") == 1, 5),
    "stride=1 and pad=0": ("conv_forward", lambda c: c.value("s") == 1 and c.value("p") == 0, 5),
    "even": ("pool_backward", lambda c: c["h"] % 2 == c["w"] % 2 == 0, 12),
    "samples=1": ("affine_forward", lambda c: c["m"] == 1, 5),
    "mode=max": ("pool_forward", lambda c: c.word("mode") == "max", 5),
    "classes>=5": ("softmax", lambda c: c["n"] >= 5, 40),
    "window=3": ("conv_forward", lambda c: c.value("f") == 3, 40),
    "classes%32=0": ("softmax", lambda c: c["n"] % 32 == 0, 200),
    "square and samples=1 and stride=1": (
        "conv_forward", lambda c: c["h"] == c["w"] and c["m"] == c.value("s") == 1, 40,
    ),
}  # fmt: skip


def run(op, answers, count):
    """Every case that is asked of a module without options, with its status."""
    cases, found = list(generate([OPERATIONS[op]], ["f32"], count, 0)), []
    for start in range(0, count, 50):
        chain = Chain(cases[start : start + 50])
        place = 0
        while place < len(chain.cases):
            case = chain.cases[place]
            status = "passed" if answers(case) else "refused"
            reason = ""
            if case.beyond:
                status, reason = "absent", f"{UNDECLARED}no option {case.beyond[0]}"
            chain.tell(place, [blank(case, case.operation.outputs[0], status, reason=reason)])
            found.append((case, status))
            place += 1
            if chain.complete:
                chain.plan()
    return found


@pytest.mark.parametrize("rule", ANSWERS)
def test_the_rule_is_found_and_as_many_cases_are_compared_as_were_asked_for(rule):
    op, answers, least = ANSWERS[rule]
    for count in {least, 40, 120}:
        if count < least:
            continue
        found = run(op, answers, count)
        answered = [case for case, status in found if status == "passed"]
        refused = [case for case, status in found if status == "refused"]
        assert len(answered) == count
        assert len({str(case) for case, _ in found}) == len(found)
        assert len(found) < 8 * count + 60  # what it costs is within reason
        if len(refused) >= 3:
            assert said(explanation(answered[:300], refused[:300])) == rule


def test_a_signature_without_a_mode_is_asked_for_maxima_instead():
    cases, compared = list(generate([OPERATIONS["pool_forward"]], ["f32"], 12, 0)), 0
    chain = Chain(cases)
    for place, case in enumerate(chain.cases):
        lacks = case.word("mode") != "max"
        reason = f"{UNDECLARED}no option {case.beyond[0]}" if case.beyond else f"{LACKING}mode" * lacks
        chain.tell(place, [blank(case, "A", "absent" if reason else "passed", reason=reason)])
        compared += not reason
    while more := chain.plan():
        for place, case in enumerate(more, len(chain.cases) - len(more)):
            assert (case.word("mode"), case.beyond) == ("max", ())
            chain.tell(place, [blank(case, "A", "passed")])
            compared += 1
    assert compared == 12


def test_a_module_that_answers_nothing_is_asked_no_end_of_cases():
    found = run("conv_forward", lambda case: False, 50)
    assert {status for _, status in found} == {"refused", "absent"}
    assert len(found) <= 50 + 48


def test_what_no_rule_explains_is_not_explained():
    cases = [case for case in generate([OPERATIONS["conv_forward"]], ["f32"], 200, 3) if not case.beyond]
    chance = [int(Stream(f"{case}").integers(0, 80, (1,))[0]) == 0 for case in cases]
    answered = [case for case, one in zip(cases, chance, strict=True) if one]
    refused = [case for case, one in zip(cases, chance, strict=True) if not one]
    assert answered
    assert explanation(answered, refused) == ()
    assert explanation(refused, answered) == ()


def test_dtypes_are_a_rule_too():
    cases = list(generate([OPERATIONS["relu"]], ["f32", "f64"], 20, 0))
    singles = [case for case in cases if case.dtype == "f32"]
    assert said(explanation(singles, [case for case in cases if case.dtype == "f64"])) == "f32"


@pytest.mark.parametrize(
    "op", ["conv_forward", "conv_transpose_backward", "pool_backward", "softmax", "relu"]
)
def test_every_rule_can_be_met_and_reads_as_it_is_written(op):
    entry = OPERATIONS[op]
    cases = [case for case in generate([entry], ["f32"], 60, 1) if not case.beyond]
    texts = ["stride=1", "pad=0", "samples=1", "channels>=4", "filters%8=0", "classes<=7", "window%2=1"]
    for rule in (*FIXED, *map(parse, texts)):
        assert parse(rule.name).name == rule.name
        if not rule.applies(entry):
            continue
        met = [alike(case, (rule,), Stream(str(case)), {}) for case in cases]
        assert sum(case is not None for case in met) > len(cases) / 2, rule.name
        assert all(rule.holds(case) for case in met if case), rule.name
        assert {case.op for case in met if case} == {op}


def test_options_are_taken_out_of_a_case_that_is_to_be_plain():
    cases = [case for case in generate([OPERATIONS["conv_forward"]], ["f32"], 120, 0) if case.beyond]
    assert len(cases) > 20
    assert not any(plain(case).beyond for case in cases)


def test_rules_are_said_in_words():
    assert phrase("square and stride=1") == "square images and stride 1"
    assert otherwise(parse_all("square")) == "h differs from w"
    assert [rule.name for rule in parse_all("padding=0 and c >= 4")] == ["pad=0", "channels>=4"]


def test_what_is_declared_decides_the_further_cases_and_a_resumed_chain_is_the_same():
    cases = list(generate([OPERATIONS["relu"]], ["f32"], 20, 0))
    first, second = Chain(cases), Chain()
    for place, case in enumerate(cases):
        square = case["h"] == case["w"]
        record = blank(case, "A", "passed" if square else "absent", reason=f"{UNDECLARED}square{ALONE}")
        first.tell(place, [record])
        second.tell(second.grow(case), [record])
    more = first.plan()
    assert more == second.plan()
    assert len(more) == sum(case["h"] != case["w"] for case in cases) > 3
    assert all(case["h"] == case["w"] for case in more)
    for place, case in enumerate(more, len(cases)):
        first.tell(place, [blank(case, "A", "passed")])
    assert first.plan() == []


def test_a_case_is_like_the_one_it_stands_for():
    case = Case.parse("conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17")
    other = alike(case, parse_all("square and stride=1"), Stream("x"), {})
    assert str(other).rpartition(":")[0] == "conv_forward:f32:m2h9w9c3_f3k4_s1p1:normal"
