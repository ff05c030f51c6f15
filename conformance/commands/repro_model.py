"""What ``conformance repro`` shows of one case of a `ModelNew` that is compared with its `Model`."""

from __future__ import annotations

from conformance.implementations.dialects.reference import is_pair
from conformance.models.judge import judged
from conformance.models.line import Line
from conformance.models.pair import Pair
from conformance.report.text import index, repro
from conformance.runs.worker import Holding
from conformance.verdict.record import case_status


def show(text: str, spec: str, holding: Holding) -> int:
    """Compare one case, print what came of it, return the exit status.

    Raises
    ------
    ValueError
        If `text` is no such case, or `spec` has no such models.
    """
    line = Line.parse(text)
    if not is_pair(spec):
        raise ValueError(f"--impl {spec}: expected a .py file with ModelNew, Model and get_inputs")
    print(f"case            {line}")
    print(f"implementation  {spec} (compared with its Model in float64)")
    print(f"again           {repro(str(line), spec)}", flush=True)
    with Pair.of(spec, holding.time_limit, holding.wrapped) as pair:
        case = pair.reference.prepared(line)
        for name, array in case.given.items():
            print(f"  {name:<24}{array.shape}")
        records = judged(pair.candidate, case)
    for record in records:
        facts = f" ({record.tier} tier), {record.max_bound_fraction:.3g} of the limit" if record.tier else ""
        print(f"\n{record.output}: {record.status}{facts}")
        if record.status == "failed":
            print(f"  {record.reason}")
            if record.index is not None:
                print(f"  index {index(record.index)}, expected {record.expected!r}, got {record.got!r}")
    status = case_status(records)
    print(status)
    return int(status != "passed")
