"""A pytest plugin: ``pytest --conformance-impl mypackage.kernels``, each case a test by its one-line name.

The cases are those of ``conformance run`` with the same options, so every process collects the same tests
in the same order, as pytest-xdist needs. A kernel that crashes takes its process with it: with xdist that
is one failed test. ``conformance run`` keeps crashes apart by itself.

A test marked ``@pytest.mark.conformance("conv_*", cases=50)`` returns what is to be judged, as
`conformance.check` takes it: a module, a path, functions by name. It passes if that agrees.

Nothing of the suite is imported before the option is given or such a test runs.
"""

from __future__ import annotations

import shlex
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.cases.case import Case
    from conformance.report.states import States
    from conformance.runs.chain import Chain
    from conformance.verdict.judge import Judge
    from conformance.verdict.record import Record


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("conformance", "conformance of CNN functions with PyTorch autograd in float64")
    group.addoption("--conformance-impl", metavar="M", help="module, module:attribute or .py file to judge")
    group.addoption(
        "--conformance-cases", type=int, default=40, metavar="N", help="cases per operation and dtype"
    )
    many: dict[str, Any] = {"action": "append", "default": []}
    group.addoption("--conformance-ops", **many, metavar="OP", help="operations or shell patterns of them")
    group.addoption("--conformance-dtype", **many, metavar="DTYPE", help="default f32 f64; f16, bf16")
    group.addoption("--conformance-seed", type=int, default=0, metavar="S", help="seeds shapes and data")


def pytest_configure(config: pytest.Config) -> None:
    """The marker by which the tests are chosen: ``-m conformance``."""
    config.addinivalue_line(
        "markers",
        "conformance(*ops, **options): a case of the conformance suite; a test that returns a kernel is "
        "judged, with the arguments of conformance.check",
    )
    if config.getoption("conformance_impl") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Totals(config), "conformance-totals")


class Suite(pytest.Collector):
    """The cases of one implementation."""

    judge: Judge
    #: Of each operation and dtype the cases of this process, and those asked for what was not answered.
    chains: dict[tuple[str, str], Chain]

    def judged(self, case: Case) -> list[list[Record]]:
        """The records of a case, and of the further ones that are asked if it is not answered."""
        chain = self.chains[case.op, case.dtype]
        asked, place = [case], chain.grow(case)
        found = []
        while asked:
            for one in asked:
                # Diagnoses start anew, so that they do not depend on which tests ran before.
                self.judge.forget()
                records = self.judge(one)
                chain.tell(place, records)
                found.append(records)
                place += 1
            asked = chain.plan()
        return found

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each case."""
        try:
            from conformance.cases.dtypes import DTYPES
            from conformance.generation.generate import generate
            from conformance.implementations.implementation import load
            from conformance.implementations.loading import LoadError
            from conformance.operations import select
            from conformance.runs.chain import Chain
            from conformance.verdict.judge import Judge
        except ModuleNotFoundError as error:
            why = f"{error.name} not installed: pip install 'cnnref[conformance]'"
            raise pytest.UsageError(f"conformance: {why}") from error

        option = self.config.getoption
        try:
            operations = select([p for text in option("conformance_ops") for p in text.split(",") if p])
            dtypes = [d.replace("float", "f") for d in option("conformance_dtype")] or list(DTYPES)
            cases = list(
                generate(operations, dtypes, option("conformance_cases"), option("conformance_seed"))
            )
            implementation = load(option("conformance_impl"))
        except (ValueError, LoadError) as error:
            raise pytest.UsageError(f"conformance: {error}") from error
        self.judge = Judge(implementation)
        self.chains = defaultdict(Chain)
        for case in cases:
            item = CaseItem.from_parent(self, name=str(case))
            item.case = case
            item.add_marker("conformance")
            yield item


class DisagreementError(Exception):
    """An output is not what the oracle gives."""


class CaseItem(pytest.Item):
    """One case."""

    case: Case
    #: What was judged, as lines of ``results.jsonl``: the process that sums up may be another one.
    lines: list[str]

    def runtest(self) -> None:
        """Judge the case."""
        parent = self.parent
        assert isinstance(parent, Suite)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an implementation's warnings are its own affair
            found = parent.judged(self.case)
        self.lines = [record.line() for records in found for record in records]
        spec = shlex.quote(str(self.config.getoption("conformance_impl")))
        lines = []
        for records in found:
            failed = [f"{r.output}: {r.reason} [{r.diagnosis}]" for r in records if r.status == "failed"]
            if failed:
                again = f"conformance repro {shlex.quote(records[0].case)} --impl {spec}"
                lines += [*failed, again]
        if lines:
            raise DisagreementError("\n".join(lines))
        first = found[0][0]
        if first.status in ("absent", "refused"):
            pytest.skip(f"{first.reason} (judged in its place: {len(found) - 1})")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Failures in words; a traceback through this package would help nobody."""
        if isinstance(excinfo.value, DisagreementError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it comes from, for the heading of a failure."""
        return "conformance", None, str(self.case)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A marked test: what it returns is judged."""
    mark = pyfuncitem.get_closest_marker("conformance")
    if mark is None:
        return None
    names = getattr(pyfuncitem, "_fixtureinfo").argnames  # noqa: B009  as pytest itself calls a test
    kernel = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if kernel is None:
        why = "returned nothing; expected a module, a path, a function or functions by name"
        pytest.fail(f"{pyfuncitem.name} is marked conformance and {why}", pytrace=False)
    from conformance import check

    try:
        options = dict(mark.kwargs)
        named = options.pop("ops", ())
        ops = (*mark.args, *((named,) if isinstance(named, str) else named))
        checked = check(kernel, ops, **options)
        why = "" if checked.agrees else repr(checked)
    except (TypeError, ValueError) as error:
        why = f"conformance: {error}"
    if why:
        pytest.fail(why, pytrace=False)
    return True


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the cases to what was collected."""
    if config.getoption("conformance_impl"):
        suite = Suite.from_parent(session, name="conformance", nodeid="conformance")
        items.extend(suite.collect())


class Tally:
    """What the tests of all processes came to, operation by operation."""

    def __init__(self) -> None:
        from conformance.report.states import States

        self.states: States = States()
        self._asked: Counter[tuple[str, str]] = Counter()

    def add(self, lines: list[str]) -> None:
        """Count what one test judged: its case, then the further ones."""
        from itertools import groupby

        from conformance.cases.case import Case
        from conformance.verdict import schema

        found = [schema.record(line.encode()) for line in lines]
        for place, (text, records) in enumerate(groupby(found, key=lambda record: record.case)):
            case = Case.parse(text)
            self._asked[case.op, case.dtype] += place == 0
            self.states.add(case, list(records))

    @property
    def asked(self) -> int:
        """How many cases of each operation and dtype were run, of the one with the fewest."""
        return min(self._asked.values(), default=0)

    def faults(self) -> list[str]:
        """Why all is not well though no test fails: what was compared too little, what has another form."""
        return [*(found["sentence"] for found in self.states.forms.faults()), *self.states.doubts(self.asked)]

    def text(self) -> str:
        """The states in one line."""
        from conformance.report.states import told

        return told(self.states.to_dict(self.asked))


_TALLY = pytest.StashKey[Tally]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the report of a case carry what was judged, to whichever process sums up."""
    outcome: Any = yield
    if isinstance(item, CaseItem) and call.when == "call":
        outcome.get_result().conformance = getattr(item, "lines", [])


class Totals:
    """Sums up in the process that reports, where an implementation is judged."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a case."""
        lines = getattr(report, "conformance", None)
        if lines:
            self._config.stash.setdefault(_TALLY, Tally()).add(lines)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Too little compared, or a fault of the module, is a failure of the whole."""
        tally = self._config.stash.get(_TALLY, None)
        if tally is not None and session.exitstatus == 0 and tally.faults():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The states of the operations."""
        tally = self._config.stash.get(_TALLY, None)
        if tally is not None:
            terminalreporter.section("conformance")
            for line in (f"Operations: {tally.text()}", *tally.faults()):
                terminalreporter.write_line(line)
