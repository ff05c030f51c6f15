"""The implementation under test: found, imported, called as the contract says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from inspect import Parameter, Signature
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES, NAMES
from conformance.cases.request import Request
from conformance.cases.script import Layer, Script
from conformance.conventions import Settings, offered, parse
from conformance.faults import is_diagnosis
from conformance.implementations import UNDECLARED, accepts, declared, served
from conformance.implementations.accepts import Accepts
from conformance.implementations.child import Child, LostError, Ticket, filled
from conformance.implementations.declared import Declared
from conformance.implementations.dialects import Reading
from conformance.implementations.layout import LAYOUTS, inward, outward
from conformance.implementations.loading import LoadError, found
from conformance.implementations.looks import played
from conformance.implementations.perform import Tried, answered, performed
from conformance.implementations.program import TIME_LIMIT, Program, ProgramError
from conformance.implementations.refusals import Own
from conformance.implementations.wire import Declares
from conformance.implementations.witness import Witness
from conformance.operations import FUNCTIONS, OPERATIONS
from conformance.operations.call import resolved


@dataclass(frozen=True)
class Outcome:
    """What one call came to.

    Attributes
    ----------
    outputs : dict of str to object
        The outputs by name; empty if the call failed.
    error : str or None
        ``"raised ValueError: ..."``, or what was wrong with the form of the answer.
    changed : tuple of str
        The arguments whose bytes the call changed.
    absent : str or None
        Why the implementation is not asked such a case: what of it it does not declare.
    refused : str or None
        How it refused (`refusals.refused`).
    seconds : float
        How long the call took.
    notes : tuple of str
        What else the call did, as far as its own process can tell (`perform.Tried`).
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    changed: tuple[str, ...] = ()
    absent: str | None = None
    refused: str | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


#: Waits for what was asked.
Answer = Callable[[], tuple[Outcome, ...]]


@runtime_checkable
class Direct(Protocol):
    """An implementation that is handed whole cases instead of calls: a program behind pipes."""

    def has(self, name: str) -> bool:
        """Whether it has that function."""

    def answer(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, Any]:
        """The outputs by name."""


@dataclass(frozen=True)
class Implementation:
    """What has some of the contract's functions.

    Attributes
    ----------
    name : str
        As ``--impl`` names it.
    target : Child, Direct or object
        A process that holds the module; a program; or a module, or any object, in this process, for those who
        vouch for what it does to the process.
    accepts : mapping
        What it declares to answer alone.
    own : Own
        What the source of an implementation in this process is.
    survives : bool
        Whether a process that is lost is an error of the call; else the call raises `child.LostError`.
    """

    name: str
    target: Any
    arithmetic: Arithmetic
    layout: str = "NHWC"
    settings: Settings = field(default_factory=Settings)
    options: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = tuple(DTYPES)
    differs: Declared = field(default_factory=dict)
    version: str | None = None
    survives: bool = True
    dialect: str = "contract"
    accepts: Accepts = field(default_factory=dict)
    own: Own = field(default_factory=Own)

    def lacks(self, case: Case) -> str | None:
        """The option of `case` that the implementation does not declare; None if it takes all of them."""
        return next((key for key in case.beyond if not self._takes(f"{case.op}.{key}")), None)

    def _takes(self, option: str) -> bool:
        """Whether the implementation declares the option of that operation."""
        if option not in self._taken:
            self._taken[option] = any(fnmatchcase(option, _dotted(pattern)) for pattern in self.options)
        return self._taken[option]

    @cached_property
    def _taken(self) -> dict[str, bool]:
        """What `_takes` has found."""
        return {}

    @cached_property
    def _direct(self) -> Direct | None:
        """The target, if it is handed whole cases."""
        return self.target if isinstance(self.target, Direct) else None

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""
        return has(self.target, name)

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name, of an implementation in this process."""
        function: Callable[..., Any] = getattr(self.target, name)
        return function

    def signature(self, name: str) -> Signature | None:
        """The signature of that function, if it tells."""
        if isinstance(self.target, Child):
            return _signature(self.target.declares.functions[name])
        return _signature(served.signature(self.function(name)))

    def request(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Request:
        """What it is asked for `case`: the function's calls, the forward function first for its cache."""
        return resolved(OPERATIONS, case, self.has, offered(case, arrays, self.settings))

    def call(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Outcome:
        """Call the function of `case` on copies of `arrays`, the forward function first for its cache."""
        return self.ask(case, arrays)()[0]

    def ask(
        self,
        case: Case,
        arrays: Mapping[str, NDArray[Any]],
        sizes: Sequence[int] = (),
        fills: Sequence[float] = (np.nan,),
    ) -> Answer:
        """Ask for the function of `case` on `arrays`, and go on.

        Parameters
        ----------
        case : Case
            The case.
        arrays : mapping of str to ndarray
            Its arrays, which stay as they are.
        sizes : sequence of int
            How many elements each output has.
        fills : sequence of float
            For each of these it is called once, over memory of those sizes that holds it.

        Returns
        -------
        callable
            Gives an outcome for each of `fills`, or fewer if the last of them is none; waits for them.
        """
        if case.dtype not in self.dtypes:
            return _settled(Outcome(absent=f"{UNDECLARED}no dtype {case.dtype}"))
        lacking = self.lacks(case)
        if lacking is not None:
            return _settled(Outcome(absent=f"{UNDECLARED}no option {lacking}"))
        if self.accepts and (why := accepts.outside(self.accepts, case)):
            return _settled(Outcome(absent=why))
        given = inward(case, offered(case, arrays, self.settings), self.layout)
        if self._direct is not None:
            return partial(self._asked_directly, self._direct, case, given, len(fills))
        request = self.request(case, arrays)
        memory = filled(fills, case.numpy_dtype)
        if isinstance(self.target, Child):
            ticket = self.target.ask(request, self.layout, given, sizes, memory)
            return partial(self._heard, self.target, case, ticket)
        return _settled(*[self._outcome(case, t) for t in performed(self, request, given, sizes, memory)])

    def layer(self, case: Case, arrays: Mapping[str, NDArray[Any]], form: str = "") -> Layer:
        """The function of `case` and its arrays, as a layer of a script."""
        given = inward(case, offered(case, arrays, self.settings), self.layout)
        return Layer(self.request(case, arrays), given, form)

    def look(self, case: Case, script: Script) -> Answer:
        """Ask for calls one after another, and go on; a program behind pipes answers none."""
        if isinstance(self.target, Child):
            return partial(self._heard, self.target, case, self.target.look(script, self.layout))
        if self._direct is not None:
            return _settled()
        return _settled(*[self._outcome(case, tried) for tried in played(self, script)])

    @cached_property
    def _second(self) -> Implementation | None:
        if not isinstance(self.target, Child):
            return None
        return replace(self, target=self.target.second(), survives=True)

    def fresh(self) -> Implementation | None:
        """The same in a process that has made no call yet; None of one that has no process of its own."""
        second = self._second
        if second is not None:
            second.renew()
        return second

    def _heard(self, child: Child, case: Case, ticket: Ticket) -> tuple[Outcome, ...]:
        """What a process answers."""
        try:
            return tuple([self._outcome(case, tried) for tried in child.heard(ticket)])
        except LostError as lost:
            if not self.survives:
                raise
            return (Outcome(error=f"{lost.why} this case"),)

    def _outcome(self, case: Case, tried: Tried) -> Outcome:
        """What came of a call, in NHWC."""
        if tried.kind == "absent":
            return Outcome(absent=tried.text)
        if tried.kind == "refused":
            why = accepts.inside(self.accepts, case.op)
            if not why:
                return Outcome(refused=f"refused: {tried.text}")
            return Outcome(error=f"raised {tried.text}{why}")
        if tried.kind == "error":
            return Outcome(error=tried.text, changed=tried.changed, seconds=tried.seconds)
        try:
            outputs = outward(case, tried.outputs, self.layout)
            return Outcome(outputs, changed=tried.changed, seconds=tried.seconds, notes=tried.notes)
        except ValueError as error:
            return Outcome(error=str(error), changed=tried.changed, seconds=tried.seconds)

    def _asked_directly(
        self, target: Direct, case: Case, given: Mapping[str, NDArray[Any]], times: int
    ) -> tuple[Outcome, ...]:
        """What a program answers."""
        found: list[Tried] = []
        while len(found) < times and (not found or found[-1].kind == "answered"):
            found.append(answered(partial(target.answer, case), given, self.own))
        return tuple([self._outcome(case, tried) for tried in found])

    def process(self) -> list[str]:
        """Where it runs, in sentences."""
        if isinstance(self.target, Child):
            return self.target.process()
        return ["a program behind pipes" if self._direct is not None else "this one"]

    def finish(self, patience: float) -> int | None:
        """Let its process come to its own end: how it ended, None if it has not within so many seconds."""
        return self.target.finish(patience) if isinstance(self.target, Child) else 0

    def close(self) -> None:
        """End its processes."""
        if isinstance(self.target, Child):
            self.target.close()
            if "_second" in vars(self) and self._second is not None:
                self._second.close()

    def abandon(self) -> None:
        """Wait for no answer any more."""
        if isinstance(self.target, Child):
            self.target.abandon()

    def renew(self) -> None:
        """Have the next case answered by another process."""
        if isinstance(self.target, Child):
            self.target.renew()
        elif isinstance(self.target, Program):
            self.target.close()


def _settled(*outcomes: Outcome) -> Answer:
    return lambda: outcomes


def _signature(parameters: Any) -> Signature | None:
    """A signature that has these parameters; the values of defaults are not known."""
    if parameters is None:
        return None
    try:
        return Signature(
            [
                Parameter(name, kind, default=None if default else Parameter.empty)
                for name, kind, default in ((n, _KINDS[k], d) for n, k, d in parameters)
            ]
        )
    except (ValueError, KeyError):  # what no function of Python has
        return None


_KINDS = {
    int(kind): kind
    for kind in (
        Parameter.POSITIONAL_ONLY,
        Parameter.POSITIONAL_OR_KEYWORD,
        Parameter.VAR_POSITIONAL,
        Parameter.KEYWORD_ONLY,
        Parameter.VAR_KEYWORD,
    )
}


def is_explanation(word: str) -> bool:
    """Whether a declared difference can be tied to it: a diagnosis, or a convention with one of its values.

    Raises
    ------
    ConventionError
        If it is ``NAME=VALUE``, and there is no such convention or value.
    """
    return bool(parse([word])) if "=" in word else is_diagnosis(word)


#: What a module declares of its arithmetic.
_ARITHMETIC = ("precision", "algorithm", "accuracy", "order")


def _options(declared: Any) -> tuple[str, ...]:
    """The options that a module declares: ``options = ("dilation", "pool_*.ceil_mode")``, or ``"*"``.

    Raises
    ------
    ValueError
        If one of them is no option of any operation.
    """
    patterns = (declared,) if isinstance(declared, str) else tuple(map(str, declared))
    known = [f"{op.name}.{option.key}" for op in OPERATIONS.values() for option in op.options]
    for pattern in patterns:
        if not any(fnmatchcase(name, _dotted(pattern)) for name in known):
            keys = sorted({name.partition(".")[2] for name in known})
            raise ValueError(
                f"options has {pattern!r}, expected OPERATION.OPTION or some of {', '.join(keys)}"
            )
    return patterns


def _dtypes(declared: Any) -> tuple[str, ...]:
    """The dtypes that a module declares: ``dtypes = ("f32", "f16")``.

    Raises
    ------
    ValueError
        If one of them is no dtype of a case.
    """
    names = (declared,) if isinstance(declared, str) else tuple(map(str, declared))
    every = ("f32", "f64", "f16", "bf16")  # bf16 may be declared where ml_dtypes is not installed
    for name in names:
        if NAMES.get(name, name) not in every:
            raise ValueError(f"dtypes has {name!r}, expected some of {', '.join(every)}")
    return tuple(NAMES.get(name, name) for name in names)


def _dotted(pattern: str) -> str:
    """An option alone is meant for every operation."""
    return pattern if "." in pattern else f"*.{pattern}"


def has(target: Any, name: str) -> bool:
    """Whether `target` has the function `name`."""
    if isinstance(target, (Child, Direct)):
        return target.has(name)
    return callable(getattr(target, name, None))


def load(
    spec: str,
    settings: Settings | None = None,
    time_limit: float = TIME_LIMIT,
    survives: bool = True,
    wrapped: Sequence[str] = (),
) -> Implementation:
    """Load the implementation that ``--impl`` names, into a process of its own.

    Parameters
    ----------
    spec : str
        ``package.module``, ``package.module:attribute``, ``path/to/file.py`` (also with
        ``:attribute``), ``exec:COMMAND`` (a program that speaks the protocol of docs/adapters.md), or
        the short name of an adapter.
    settings : Settings, optional
        How strictly it is read. Conventions that its module declares (``conventions = {...}``) hold
        where `settings` says nothing else.
    time_limit : float, optional
        Seconds that a case may take; what does not answer is ended then.
    survives : bool, optional
        Whether a process that is lost is an error of the call, and not one of who calls.
    wrapped : sequence of str, optional
        A command in front of the process's own, which makes a sandbox.

    Raises
    ------
    LoadError
        If there is no such module, it cannot be imported, or what it declares has no bound.
    """
    if spec.startswith("exec:"):
        try:
            target: Any = Program([*wrapped, *_words(spec)], time_limit)
            declares = program_declares(target)
        except (ValueError, ProgramError) as error:
            raise LoadError(f"--impl {spec}: {error}") from error
    else:
        settings = settings or Settings()
        read = Reading(settings.dialect, settings.device, settings.model)
        target = Child(spec, FUNCTIONS, time_limit, wrapped=wrapped, read=read)
        declares = target.declares
    return _of(spec, target, declares, settings, survives, wrapped)


def here(spec: str, settings: Settings | None = None) -> Implementation:
    """Load a module into this process, for tests and tools that vouch for it.

    Raises
    ------
    LoadError
        As `load` does.
    """
    return of_object(spec, found(spec), settings)


def of_object(name: str, target: Any, settings: Settings | None = None) -> Implementation:
    """An object of this process, a notebook's functions say, as an implementation.

    Parameters
    ----------
    name : str
        What it is called.
    target : object
        It has functions or classes, of any dialect.
    settings : Settings, optional
        How strictly it is read.

    Raises
    ------
    LoadError
        If none of the functions is in it, or it is in no dialect.
    """
    settings = settings or Settings()
    target, declares, own = served.held(
        name, target, list(FUNCTIONS), Reading(settings.dialect, settings.device, settings.model)
    )
    return replace(_of(name, target, declares, settings, True, ()), own=own)


def _words(spec: str) -> list[str]:
    """The command of ``exec:COMMAND``."""
    words = shlex.split(spec[5:])
    if not words:
        raise ProgramError("no command; expected exec:COMMAND")
    return words


def program_declares(program: Program) -> Declares:
    """What a program says of itself."""
    functions = {name: None for name in OPERATIONS if program.has(name)}
    said = {name: getattr(program, name) for name in ("layout", "options", "dtypes", "accepts")}
    return Declares(dict(functions), said, None, [])


def _of(
    spec: str,
    target: Any,
    declares: Declares,
    settings: Settings | None,
    survives: bool,
    wrapped: Sequence[str],
) -> Implementation:
    """The implementation, if what it declares can be held to something.

    Raises
    ------
    LoadError
        If it cannot.
    """
    settings, said = settings or Settings(), declares.declared
    if not declares.functions:
        raise LoadError(f"--impl {spec}: none of the functions is in it; `conformance list` shows them")
    layout = said.get("layout", "NHWC")
    if layout not in LAYOUTS:
        raise LoadError(f"--impl {spec}: layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
    try:
        options = _options(said.get("options", ()))
        dtypes = _dtypes(said.get("dtypes", tuple(DTYPES)))
        accepted = accepts.read(said.get("accepts", {}))
        differs = declared.read(_differs(Witness(spec, wrapped), said.get("differs", {})), is_explanation)
        chosen = said.get("conventions", {})
        conventions = {**parse(f"{n}={v}" for n, v in chosen.items()), **settings.conventions}
        arithmetic = Arithmetic.declared(**{name: said[name] for name in _ARITHMETIC if name in said})
    except (ValueError, AttributeError) as error:
        raise LoadError(f"--impl {spec}: {error}") from error
    settings = replace(settings, conventions=conventions)
    return Implementation(
        spec,
        target,
        arithmetic,
        layout,
        settings,
        options,
        dtypes,
        differs,
        declares.version,
        survives,
        declares.dialect,
        accepted,
    )


def _differs(witness: Witness, differs: Any) -> Any:
    """``differs`` as a module has it: a function in it is one that a process of its own is asked."""
    if not isinstance(differs, Mapping):
        return differs
    return {
        op: {witness.of(op, at) if called else what: text for at, (called, what, text) in enumerate(entries)}
        if isinstance(entries, list)
        else entries
        for op, entries in differs.items()
    }
