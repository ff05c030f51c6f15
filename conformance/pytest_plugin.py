"""A pytest plugin: ``pytest --conformance-impl mypackage.kernels``, each case a test by its one-line name.

The cases are those of ``conformance run`` with the same options, so every process collects the same tests
in the same order, as pytest-xdist needs. A kernel that crashes takes its process with it: with xdist that
is one failed test. ``conformance run`` keeps crashes apart by itself.

Nothing of the suite is imported before the option is given.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.cases.case import Case
    from conformance.verdict.judge import Judge


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
    config.addinivalue_line("markers", "conformance: a case of the conformance suite")


class Suite(pytest.Collector):
    """The cases of one implementation."""

    judge: Judge

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each case."""
        try:
            from conformance.cases.dtypes import DTYPES
            from conformance.generation.generate import generate
            from conformance.implementations.implementation import load
            from conformance.implementations.loading import LoadError
            from conformance.operations import select
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

    def runtest(self) -> None:
        """Judge the case."""
        parent = self.parent
        assert isinstance(parent, Suite)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an implementation's warnings are its own affair
            # Diagnoses start anew, so that they do not depend on which tests ran before.
            parent.judge.forget()
            records = parent.judge(self.case)
        if all(record.status == "absent" for record in records):
            pytest.skip(records[0].reason)
        failed = [record for record in records if record.status == "failed"]
        if failed:
            lines = [f"{r.output}: {r.reason} [{r.diagnosis}]" for r in failed]
            spec = shlex.quote(str(self.config.getoption("conformance_impl")))
            again = f"conformance repro {shlex.quote(str(self.case))} --impl {spec}"
            raise DisagreementError("\n".join([*lines, again]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Failures in words; a traceback through this package would help nobody."""
        if isinstance(excinfo.value, DisagreementError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it comes from, for the heading of a failure."""
        return "conformance", None, str(self.case)


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the cases to what was collected."""
    if config.getoption("conformance_impl"):
        suite = Suite.from_parent(session, name="conformance", nodeid="conformance")
        items.extend(suite.collect())
