"""Cases judged in this process, for functions that no other can import: those of a notebook."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence

import numpy as np

from conformance.diagnosis.findings import Finding, find
from conformance.diagnosis.history import Histories
from conformance.implementations.implementation import Implementation
from conformance.runs.options import BATCH
from conformance.runs.worker import About
from conformance.runs.workers import Batches, Judged
from conformance.verdict.judge import Judge
from conformance.verdict.record import Record


class Here:
    """What judges batches of cases (`pool.Pool`), one after another.

    Parameters
    ----------
    implementation : Implementation
        It lives in this process, so that what it does to the process it does to the judge, too.
    """

    ahead = BATCH

    def __init__(self, implementation: Implementation) -> None:
        self._implementation, self._judge = implementation, Judge(implementation)
        self.about: About | None = About(
            implementation.arithmetic.name, implementation.version, implementation.dialect
        )

    def judge_batches(self, queue: Batches) -> Judged:
        """Number, case and records of each case of `queue`."""
        for batch in queue:
            self._judge.forget()
            for number, case in batch:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")  # the functions' warnings would drown the run
                    records = self._judge(case)
                yield number, case, records

    def find_all(self, records: Sequence[Record], seconds: float, histories: Histories) -> list[Finding]:
        """Find out about failures until so many seconds are over."""
        until, found = time.monotonic() + seconds, []
        for record in records:
            if time.monotonic() >= until:
                break
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found.append(find(self._implementation, record, histories.of(record)))
        return found
