"""Which dialect a module is written in, and what is said where that cannot be told."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from conformance.implementations.dialects import names as names_of
from conformance.implementations.dialects import trials
from conformance.implementations.dialects.arguments import parameters_of
from conformance.implementations.dialects.own import DialectError, imports, own, spelled
from conformance.implementations.dialects.table import ROWS

#: The dialects, each the module of this package that reads it.
DIALECTS: Mapping[str, str] = {
    "contract": "contract",
    "torch": "torch",
    "torch-modules": "torch_modules",
    "cs231n": "cs231n",
    "layers": "layers",
    "jax": "jax",
}
#: What reads a module of which the judge says what it is.
_COMPARED = {"compared": "compared"}
#: What answers with its output alone in every dialect.
_SINGLE = {row.forward for row in ROWS if row.name == "pad"}
#: Those that need torch.
_OF_TORCH = ("torch", "torch-modules")
#: What parameters are called in one dialect alone, of two that have functions of the same name.
_PARAMETERS: Mapping[str, frozenset[str]] = {
    "contract": frozenset(("A_prev", "W", "Z", "dZ", "dA", "AL", "hparameters")),
    "cs231n": frozenset(("x", "w", "dout", "conv_param", "pool_param", "bn_param")),
}
#: Of what is in no dialect so many are shown.
_SHOWN = 12


@dataclass(frozen=True)
class Claim:
    """What one dialect finds in a module.

    Attributes
    ----------
    dialect : str
        The dialect.
    functions : mapping of str to str
        What it takes for its own, by the names in the module, and what they are to it.
    """

    dialect: str
    functions: Mapping[str, str]


def reader(dialect: str) -> Any:
    """The module that reads a dialect.

    Raises
    ------
    DialectError
        If there is no such dialect, or what it needs is not installed.
    """
    place = {**DIALECTS, **_COMPARED}.get(dialect)
    if place is None:
        raise DialectError(f"dialect is {dialect!r}, expected one of {', '.join(DIALECTS)}")
    try:
        return import_module(f"{__package__}.{place}")
    except ModuleNotFoundError as error:
        raise DialectError(f"dialect {dialect} needs {error.name}, which is not installed") from error


def recognised(target: Any, names: Iterable[str], trying: Callable[[], None] | None) -> str:
    """The dialect of a module that does not say it.

    Parameters
    ----------
    target : object
        The module.
    names : iterable of str
        The contract's functions.
    trying : callable or None
        Is called before functions of the module are; None where names alone may tell.

    Raises
    ------
    DialectError
        If it is none, or several may be meant.
    """
    names = tuple(names)
    claims = [claim for dialect in DIALECTS if (claim := _claim(dialect, target, names)) is not None]
    if not claims:
        raise DialectError(_unknown(target, names))
    if len(claims) == 1:
        return _fitting(target, claims[0])
    counts: dict[str, int] = {}
    for claim in claims:
        for name in claim.functions:
            counts[name] = counts.get(name, 0) + 1
    deciding = [claim for claim in claims if any(counts[name] == 1 for name in claim.functions)]
    if len(deciding) == 1:
        return _fitting(target, deciding[0])
    likely = deciding or claims
    dialect = _tried(target, likely, trying)
    return _fitting(target, next(claim for claim in likely if claim.dialect == dialect))


def _fitting(target: Any, claim: Claim) -> str:
    """The dialect, if its functions are of that kind.

    Raises
    ------
    DialectError
        If none of them answers what it is given there.
    """
    unfit = getattr(reader(claim.dialect), "unfit", None)
    why = unfit(target) if unfit is not None else ""
    if why:
        raise DialectError(
            f"{', '.join(claim.functions)}: {why}; if it is so meant, write dialect = {claim.dialect!r}"
        )
    return claim.dialect


def _claim(dialect: str, target: Any, contract: tuple[str, ...]) -> Claim | None:
    functions: dict[str, str]
    if dialect == "jax" and not (imports(target, "jax") or imports(target, "jaxlib")):
        return None  # nothing of it is loaded for others
    if dialect in _OF_TORCH and "torch" not in sys.modules:  # it would be, had the module anything of it
        functions = names_of.claimed(target) if dialect == "torch" and find_spec("torch") else {}
        return Claim(dialect, functions) if functions else None
    try:
        module = reader(dialect)
    except DialectError:  # what it needs is not there, so nothing is written in it
        return None
    functions = module.claimed(target, contract)
    return Claim(dialect, functions) if functions else None


def _tried(target: Any, claims: list[Claim], trying: Callable[[], None] | None) -> str:
    """The one of several dialects in which the most functions answer a small call in the right shape.

    Where none does, the one that knows every name that the others know.
    """
    fitting: dict[str, set[str]] = {claim.dialect: set() for claim in claims}
    if trying is not None:
        trying()
    for claim in sorted(claims, key=lambda claim: claim.dialect in _OF_TORCH) if trying is not None else ():
        if _needless(claim, fitting):
            continue
        try:
            fitting[claim.dialect] = set(trials.answered(reader(claim.dialect).adapted(target), ROWS))
        except Exception:  # it is not of that dialect
            continue
    best = max(map(len, fitting.values()))
    likely = [claim for claim in claims if len(fitting[claim.dialect]) == best]
    if best == 0:
        every = {name for claim in claims for name in claim.functions}
        likely = [claim for claim in claims if claim.functions.keys() == every] or likely
        usual = "torch" if imports(target, "torch") else "contract"
        likely = [claim for claim in likely if claim.dialect == usual] or likely
    if len(likely) > 1:
        likely = _written_as(target, likely)
    if len(likely) == 1:
        return likely[0].dialect
    shared = set.intersection(*(fitting[claim.dialect] for claim in likely))
    names = " or ".join(claim.dialect for claim in likely)
    raise DialectError(
        f"it may be {names} ({', '.join(sorted(shared)) or 'each by other names'}); add the line "
        f"dialect = {likely[0].dialect!r}, or give --dialect {likely[0].dialect}"
    )


def _needless(claim: Claim, fitting: Mapping[str, set[str]]) -> bool:
    """Whether torch need not be loaded: another dialect fits as many functions as it could.

    One that answers arrays with an output and a cache answers tensors with no tensor.
    """
    if claim.dialect not in _OF_TORCH or "torch" in sys.modules:
        return False
    return len(claim.functions) <= max((len(found - _SINGLE) for found in fitting.values()), default=0)


def _written_as(target: Any, claims: list[Claim]) -> list[Claim]:
    """Those of several dialects most of whose words the parameters of the functions are."""
    there = own(target)
    counts = []
    for claim in claims:
        words = _PARAMETERS.get(claim.dialect, frozenset())
        names = [n for f in claim.functions if f in there for n in _parameters(there[f])]
        counts.append(sum(name in words for name in names))
    return [claim for claim, count in zip(claims, counts, strict=True) if count == max(counts)]


def _parameters(function: Any) -> list[str]:
    return [parameter.name for parameter in parameters_of(function) or ()]


def _unknown(target: Any, names: tuple[str, ...]) -> str:
    """What is in a module of no dialect, what that is close to, and what would make it work."""
    there = own(target)
    seen = [f"{name}{_signature(value)}" for name, value in there.items() if callable(value)]
    lines = ["none of the functions is in it, in any dialect; `conformance list` shows them"]
    imported = [name for name in names if name not in there and callable(getattr(target, name, None))]
    if imported:
        lines.append(f"  {', '.join(imported[:_SHOWN])}: imported, which does not count; list it in __all__")
    if seen:
        more = f", and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else ""
        lines.append(f"  it defines {', '.join(seen[:_SHOWN])}{more}")
    known = {row.name: "torch" for row in ROWS} | dict.fromkeys(names, "contract")
    close = [(n, c) for n in there if callable(there[n]) and (c := _close(n, known)) is not None]
    if close:
        lines += _advice(*close[0], known[close[0][1]], [(n, c) for n, c in close if known[c] == "contract"])
    return "\n".join(lines)


def _advice(name: str, other: str, dialect: str, contract: list[tuple[str, str]]) -> Iterator[str]:
    """Which lines make a module work whose function is close to one of a dialect.

    In the contract the functions of a pair go together: `contract` has all that are close to one of it.
    """
    yield f"  {name} is close to {other}, dialect {dialect}; if that is what it is, add"
    yield f"    dialect = {dialect!r}"
    if dialect != "contract":
        yield f'    functions = {{"{other}": "{name}"}}'
        yield "    (docs/dialects.md has them all)"
        return
    named = {theirs: ours for ours, theirs in reversed(contract[:_SHOWN])}
    yield from (f"    {theirs} = {ours}" for theirs, ours in reversed(named.items()))
    yield f"    __all__ = [{', '.join(repr(theirs) for theirs in reversed(named))}]"


#: How names say that a function computes a gradient, or that it does not.
_BACKWARD, _FORWARD = ("backward", "bwd", "backprop", "gradient", "grad"), ("forward", "fwd")


def _stem(name: str) -> tuple[str, bool]:
    """A name without what it says of the direction, and whether that is backward."""
    said = {word for word in (*_BACKWARD, *_FORWARD) if word in name.lower()}
    stem = name.lower()
    for word in sorted(said, key=len, reverse=True):
        stem = stem.replace(word, "_")
    return spelled(stem), any(word in _BACKWARD for word in said)


def _close(name: str, known: Mapping[str, str]) -> str | None:
    """The function of a dialect whose name is most like `name`, in the same direction.

    Of two that are alike it is the one of the contract where the name says its direction, as those do.
    """
    stem, backward = _stem(name)
    directed = stem != spelled(name.lower()) or backward
    order = sorted(known, key=lambda other: (known[other] == "contract") == directed)
    plain = {found: other for other in order for found, back in (_stem(other),) if back == backward}
    within = [text for text in plain if len(text) > 3 and text in stem]
    if within:
        return plain[max(within, key=len)]
    found = difflib.get_close_matches(stem, plain, 1, 0.7)
    return plain[found[0]] if found else None


def _signature(value: Any) -> str:
    try:
        return str(inspect.signature(value))
    except (TypeError, ValueError):
        return "(...)"
