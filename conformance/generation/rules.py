"""What a module may say it answers alone: ``accepts = "square"``; the words, and how a case is made to fit.

A word is ``square``, ``even``, ``tiles``, ``apart``, ``same``, ``finite``, ``nonempty``, or says one thing of
a parameter or an option of a case: ``stride=1``, ``channels>=4``, ``filters%8=0``, ``mode=max``. The letters
of a case do as well as the names. A word says nothing of operations that have no such parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.cases.operation import WORDS
from conformance.cases.option_table import (
    DILATION,
    GROUPS,
    IGNORED,
    LABEL_SMOOTHING,
    NEGATIVE_SLOPE,
    OUTPUT_PADDING,
)
from conformance.cases.options import Value, number, written
from conformance.cases.window import transposed, window_of
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS
from conformance.operations.entry import Entry

#: Names of the letters that a case has for its numbers.
NAMES = {
    "m": "samples", "h": "height", "w": "width", "c": "channels", "f": "window", "k": "filters",
    "s": "stride", "p": "pad", "i": "inputs", "o": "outputs", "n": "classes",
}  # fmt: skip
#: Names of the letters that it has for options.
_OPTIONS = {
    option.name: option.key
    for option in (DILATION, GROUPS, OUTPUT_PADDING, NEGATIVE_SLOPE, LABEL_SMOOTHING, IGNORED)
}
_LETTERS = {long: letter for letter, long in (*NAMES.items(), *_OPTIONS.items())} | {
    "padding": "p",
    "batch": "m",
}

_COMPARED = re.compile(r"([a-z_]+)(=|>=|<=|%(\d{1,9})=)([a-z0-9][a-z0-9.x_-]*)\Z")

Mend = Callable[[Case], Case]


@dataclass(frozen=True, eq=False)
class Rule:
    """One thing that a module asks of a case.

    Attributes
    ----------
    name : str
        As a module declares it.
    phrase, otherwise : str
        What it answers, and when it does not: ``answers PHRASE alone``, ``only where OTHERWISE``.
    applies : callable
        Whether an operation has what the rule is about.
    holds : callable
        Whether a case of such an operation is as it says.
    mend : callable
        The case made to be so, as far as that goes.
    cost : float
        How far-fetched it is; the less, the sooner it is what explains a refusal.
    """

    name: str
    phrase: str
    otherwise: str
    applies: Callable[[Entry], bool]
    holds: Callable[[Case], bool]
    mend: Mend
    cost: float = 1.0

    def admits(self, case: Case) -> bool:
        """Whether it has nothing against `case`."""
        return not self.applies(case.operation) or self.holds(case)


def parse(text: str) -> Rule:
    """The rule of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        return _rule(text.replace(" ", ""))
    except (KeyError, ValueError):
        words = ", ".join((*_FIXED, "stride=1", "channels>=4", "filters%8=0", "mode=max"))
        raise ValueError(f"accepts has {text!r}, expected one of {words} and the like") from None


@cache
def _rule(text: str) -> Rule:
    if text in _FIXED:
        return _FIXED[text]
    if text in KNOWN:
        return dtype(text)
    match = _COMPARED.match(text)
    if match is None:
        raise ValueError(text)
    name = _LETTERS.get(match[1], match[1])
    if not any(_has(name)(entry) for entry in OPERATIONS.values()):
        raise ValueError(text)
    if match[2] == "=":
        return equal(name, _value(name, match[4]))
    if match[3]:
        return multiple(name, int(match[3]), int(match[4]))
    return least(name, int(match[4])) if match[2] == ">=" else most(name, int(match[4]))


def _value(name: str, text: str) -> Value:
    words = {*WORDS.get(name, ()), *_option_words(name)}
    if words:
        return {written(word): word for word in words}[text]
    return number(text)


def _option_words(name: str) -> set[str]:
    """The words that an option of bare words has."""
    options = [entry.option[name] for entry in OPERATIONS.values() if name in entry.option]
    return {value for option in options if option.bare for value in option.values() if isinstance(value, str)}


def _has(*names: str) -> Callable[[Entry], bool]:
    def applies(entry: Entry) -> bool:
        return all(name in entry.parameters or name in entry.option for name in names)

    return applies


def _set(name: str, change: Callable[[int], int]) -> Mend:
    """A mend of one number; what is no whole number becomes one."""

    def mend(case: Case) -> Case:
        value = case.value(name)
        first = value[0] if isinstance(value, tuple) else value
        return case.replace(**{name: change(int(first) if isinstance(first, int) else 0)})

    return mend


def _long(name: str) -> str:
    return NAMES.get(name) or _OPTIONS.get(name, name)


def _plural(name: str, count: int) -> str:
    long = _long(name)
    return long.removesuffix("es" if long.endswith("sses") else "s") if count == 1 else long


def equal(name: str, value: Value) -> Rule:
    """One parameter or option has that value alone."""
    text, long = written(value), _long(name)
    counted = name in NAMES and long.endswith("s")
    phrase = f"{text} {_plural(name, value)}" if counted and isinstance(value, int) else f"{long} {text}"
    natural = (name, value) in {("s", 1), ("p", 0), ("m", 1)} or name in WORDS
    trailing = any(
        entry.option[name].default == value for entry in OPERATIONS.values() if name in entry.option
    )
    return Rule(
        f"{long}={text}",
        phrase,
        f"{long} is not {text}" if not counted else f"there are not {text} {long}",
        _has(name),
        lambda case: case.value(name) == value,
        lambda case: case.replace(**{name: value}),
        1.0 if natural else 1.1 if trailing else 1.4,
    )


def least(name: str, value: int) -> Rule:
    """A number is at least that."""
    return Rule(
        f"{_long(name)}>={value}",
        f"{_long(name)} from {value}",
        f"{_long(name)} is below {value}",
        _has(name),
        lambda case: _whole(case, name, -1) >= value,
        _set(name, lambda n: max(n, value)),
        1.7,
    )


def most(name: str, value: int) -> Rule:
    """A number is at most that."""
    return Rule(
        f"{_long(name)}<={value}",
        f"{_long(name)} up to {value}",
        f"{_long(name)} is above {value}",
        _has(name),
        lambda case: _whole(case, name, 1 << 60) <= value,
        _set(name, lambda n: min(n, value)),
        1.9,
    )


def multiple(name: str, of: int, rest: int = 0) -> Rule:
    """A number is a multiple of another, or has that rest."""
    if not 0 <= rest < of:
        raise ValueError(f"{name}%{of}={rest}")
    what = "odd" if (of, rest) == (2, 1) else f"multiples of {of}" + (f" plus {rest}" if rest else "")
    return Rule(
        f"{_long(name)}%{of}={rest}",
        f"{_long(name)} that are {what}",
        f"{_long(name)} is not {what.replace('multiples', 'a multiple')}",
        _has(name),
        lambda case: _whole(case, name, rest + 1) % of == rest,
        _set(name, lambda n: n + (rest - n) % of),
        1.6,
    )


def dtype(name: str) -> Rule:
    """One dtype alone."""
    return Rule(
        name, f"{name} arrays", f"arrays are not {name}", lambda entry: True, lambda case: case.dtype == name,
        lambda case: case,
    )  # fmt: skip


def _whole(case: Case, name: str, other: int) -> int:
    value = case.value(name)
    return value if isinstance(value, int) else other


def _tiled(case: Case) -> bool:
    if transposed(case):
        return True
    window = window_of(case)
    return all((a.n + a.before + a.after - a.span) % a.s == 0 for a in (window.rows, window.columns))


def _tile(case: Case) -> Case:
    window, extents = window_of(case), {}
    for name, a in (("h", window.rows), ("w", window.columns)):
        padded, least = a.n + a.before + a.after, a.span + a.s  # two windows, so that the stride shows
        rest = (padded - a.span) % a.s
        more = 0 if padded - rest >= least and a.n > rest else -(-(least - padded + rest) // a.s) * a.s
        extents[name] = a.n - rest + max(more, -(-max(1 - a.n + rest, 0) // a.s) * a.s)
    return case.replace(**extents)


def _convolves(entry: Entry) -> bool:
    return {"h", "w", "s", "p", "f", "k"} <= set(entry.parameters)


def _kept(case: Case) -> bool:
    return case.value("s") == 1 and window_of(case).outputs == (case["h"], case["w"])


def _keep(case: Case) -> Case:
    window = window_of(case).rows.f | 1
    plain = {name: option.default for name, option in case.operation.trailing.items() if name in "de"}
    return case.replace(f=window, s=1, p=window // 2, **{n: v for n, v in plain.items() if v is not None})


def _finite(case: Case) -> bool:
    return all(bool(np.isfinite(array).all()) for array in draw(case).values())


def _tame(case: Case) -> Case:
    others = (family for name, family in FAMILIES.items() if name in ("normal", "small", "stochastic"))
    return case.replace(family=next((f.name for f in others if f.suits(case)), case.family))


def _extents(case: Case) -> dict[str, int]:
    return {
        name: _whole(case, name, 1) for name in NAMES if name in case.operation.parameters and name != "p"
    }


def _even(case: Case) -> Case:
    return case.replace(h=case["h"] + case["h"] % 2, w=case["w"] + case["w"] % 2)


#: The rules that are no comparison.
_FIXED: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "square", "square images", "h differs from w", _has("h", "w"),
            lambda case: case["h"] == case["w"], lambda case: case.replace(w=case["h"]),
        ),
        Rule("tiles", "windows that tile", "windows leave a remainder", _has("h", "w", "s"), _tiled, _tile),
        Rule(
            "apart", "windows that do not overlap and leave no gap", "the stride is not the window",
            _has("h", "w", "s", "f"), lambda case: case.value("s") == case.value("f"),
            lambda case: case.replace(s=case.value("f")), 1.05,
        ),
        Rule(
            "same", "convolutions that keep the size", "the size is not kept", _convolves, _kept, _keep, 1.25,
        ),
        Rule(
            "even", "even sizes", "h or w is odd", _has("h", "w"),
            lambda case: case["h"] % 2 == case["w"] % 2 == 0, _even, 1.2,
        ),
        Rule(
            "finite", "finite values", "a value is infinite or NaN", lambda entry: True, _finite, _tame, 1.1,
        ),
        Rule(
            "nonempty", "arrays with elements", "an array is empty", lambda entry: True,
            lambda case: min(_extents(case).values(), default=1) > 0,
            lambda case: case.replace(**{name: max(n, 1) for name, n in _extents(case).items() if n < 1}),
        ),
    )
}  # fmt: skip

FIXED: tuple[Rule, ...] = tuple(_FIXED.values())


def said(rules: Iterable[Rule]) -> str:
    """Rules as ``states`` have them, and as `parse_all` reads them: ``square and stride=1``."""
    return " and ".join(rule.name for rule in rules)


def parse_all(text: str) -> tuple[Rule, ...]:
    """The rules of a text that `said` wrote."""
    return tuple(parse(part) for part in text.split(" and "))


def phrase(text: str) -> str:
    """What a module answers alone by such a text."""
    return " and ".join(rule.phrase for rule in parse_all(text))


def otherwise(rules: Iterable[Rule]) -> str:
    """Under which condition a case is outside."""
    return " or ".join(rule.otherwise for rule in rules)


def admitted(rules: Iterable[Rule], case: Case) -> bool:
    """Whether none of the rules has anything against a case."""
    return all(rule.admits(case) for rule in rules)
