"""Long runs: killed and resumed, cut into shards, and implementations that misbehave."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.cases.case import Case
from conformance.cli import main
from conformance.commands.merge import merge
from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS, select
from conformance.runs.options import Options, Shard, Sweep, SweepError
from conformance.runs.pool import in_order
from conformance.runs.run import run
from conformance.runs.shards import begin, kept
from conformance.runs.workers import Workers, batches
from conformance.verdict.judge import Judge

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = Options("numpy_loops", ("pad3d", "affine_forward", "relu"), ("f32", "f64"), 55, 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped."""
    directory = tmp_path_factory.mktemp("whole")
    run(OPTIONS, directory)
    return directory


def command(out, *more):
    return [
        sys.executable, "-m", "conformance", "run", "--impl", "numpy_loops", "--ops", *OPTIONS.operations,
        "--cases", str(OPTIONS.cases), "--seed", str(OPTIONS.seed), "--out", str(out), *more,
    ]  # fmt: skip


#: What `run` measures when the cases are done, for as long as it has time.
TIMED = ("seconds", "slips", "findings")


def same(whole, directory):
    assert (directory / "results.jsonl").read_bytes() == (whole / "results.jsonl").read_bytes()
    old, new = (json.loads((d / "summary.json").read_text()) for d in (whole, directory))
    for summary in (old, new):
        for key in TIMED:
            summary.pop(key, None)
    assert old == new


def test_a_run_killed_again_and_again_ends_with_the_same_records(whole, tmp_path):
    size = (whole / "results.jsonl").stat().st_size
    results = tmp_path / "results.jsonl"
    for share in (0.05, 0.4, 0.7):  # killed at three moments, each time with what was there
        process = subprocess.Popen(
            command(tmp_path, "--resume"), cwd=ROOT, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            if results.exists() and results.stat().st_size > share * size:
                break
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = command(tmp_path, "--resume")
    subprocess.run(last, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=120)
    same(whole, tmp_path)


def test_a_file_cut_at_any_byte_is_taken_up_again(whole, tmp_path):
    """By the reading alone: what is kept is whole batches, and the rest is what a run would judge."""
    content = (whole / "results.jsonl").read_bytes()
    listed = list(batches(OPTIONS.generate()))
    path = tmp_path / "results.jsonl"
    cuts = [0, 1, len(content) - 1, len(content), *range(7, len(content), len(content) // 12)]
    for cut in cuts:
        path.write_bytes(content[:cut])
        found = []

        def reading(found=found):
            left = yield from kept(path, iter(listed))
            found.extend(left)

        old = [str(case) for case, _ in reading()]
        new = [str(case) for batch in found for _, case in batch]
        assert old + new == [str(case) for case in OPTIONS.generate()]
        assert len(found) == len(listed) - sum(1 for b in listed if str(b[-1][1]) in set(old))
        assert content.startswith(path.read_bytes())
        assert path.read_bytes().count(b"\n") == len(old)  # one output a case in these operations


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:100] + lines[101:],  # lost
        lambda lines: lines[:100] + lines[99:],  # twice
        lambda lines: [*lines[:100], b"garbage\n", *lines[101:]],
        lambda lines: [*lines[:100], b"[" * 100_000 + b"\n", *lines[101:]],
        lambda lines: [*lines[:100], b'{"case": 1}\n', *lines[101:]],
        lambda lines: [*lines[:100], b"\xff\xfe\x00\n", *lines[101:]],
        lambda lines: [*lines, b"more\n"],
    ],
)
def test_damage_is_judged_again(whole, tmp_path, damage):
    lines = (whole / "results.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_bytes(b"".join(damage(lines)))
    listed, judge, records = list(batches(OPTIONS.generate())), Judge(load("numpy_loops")), []

    def reading():
        left = yield from kept(tmp_path / "results.jsonl", iter(listed))
        records.extend(record for batch in left for _, case in batch for record in judge(case))

    before = [record for _, records in reading() for record in records]
    assert b"".join(r.line().encode() + b"\n" for r in before + records) == b"".join(lines)
    assert len(before) >= 55


def test_another_run_is_not_resumed(whole):
    with pytest.raises(SweepError, match="holds another run"):
        begin(whole, replace(OPTIONS, seed=4), Sweep(resume=True))


def test_shards_merge_to_the_whole(whole, tmp_path):
    parts = [tmp_path / f"part{i}" for i in (3, 1, 2)]
    for part in parts:
        run(OPTIONS, part, sweep=Sweep(workers=1, shard=Shard(int(part.name[-1]), 3)))
    merge(parts, tmp_path / "all")
    same(whole, tmp_path / "all")

    with pytest.raises(SweepError, match="shard 3/3, got 2 directories"):
        merge(parts[:2], tmp_path / "two")
    with pytest.raises(SweepError, match="is also"):
        merge([parts[0], parts[1], parts[1]], tmp_path / "twice")
    results = parts[1] / "results.jsonl"
    content = results.read_bytes()
    lines = content.splitlines(keepends=True)
    results.write_bytes(b"".join([*lines[:10], b"damaged\n", *lines[11:]]))
    with pytest.raises(SweepError, match=r"results.jsonl, line 11: not a record"):
        merge(parts, tmp_path / "damaged")
    results.write_bytes(content + lines[-1])
    with pytest.raises(SweepError, match=f"line {len(lines) + 1}: more records"):
        merge(parts, tmp_path / "more")
    results.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(SweepError, match="the file ends"):
        merge(parts, tmp_path / "fewer")


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/3", "1/", "/1", "-1/3", "1/99999999"])
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="is not a shard"):
        Shard.parse(text)


def test_shards_have_every_case_once():
    whole = list(batches(OPTIONS.generate()))
    for count in (1, 2, 3, 7):
        parts = [list(Shard(i, count).of(OPTIONS.sizes, OPTIONS.generate)) for i in range(1, count + 1)]
        assert [parts[n % count][n // count] for n in range(len(whole))] == whole
        assert sum(map(len, parts)) == len(whole)
        sizes = [Shard(i, count).size(OPTIONS.sizes) for i in range(1, count + 1)]
        assert sizes == [sum(map(len, part)) for part in parts]


def test_a_shard_far_into_a_run_of_a_thousand_million_cases_costs_its_own_cases():
    """Nothing before it is listed, and nothing is kept of it."""
    operations = [OPERATIONS[name] for name in ("conv_backward", "softmax")]
    start = 1_999_999_990
    cases = list(generate(operations, ("f32",), 10**9, 3, start, start + 20))
    assert len(set(cases)) == 10  # the run ends there
    assert {case.op for case in cases} == {"softmax"}
    shard = Shard(1_000_000, 1_000_000)
    assert shard.size([10**9] * 2) == 2_000
    first = next(shard.of([10**9] * 2, lambda a, b: generate(operations, ("f32",), 10**9, 3, a, b)))
    assert [number for number, _ in first] == list(range(49_999_950, 50_000_000))


MISBEHAVE = """
import ctypes, os, sys, time
import numpy as np
class Bad(np.ndarray):
    def __array_finalize__(self, other): pass
    def __repr__(self): raise SystemExit
    def __eq__(self, other): raise SystemExit
def relu(Z):
    kind = KINDS.get(Z.shape[0])
    if kind == "hang": time.sleep(1000)
    if kind == "exit": os._exit(0)
    if kind == "sys.exit": sys.exit(7)
    if kind == "segfault": ctypes.string_at(0)
    if kind == "abort": os.abort()
    if kind == "kill": os.kill(os.getpid(), 9)
    if kind == "type": return object(), Z
    if kind == "hostile": return Bad((1,)), Z
    if kind == "print":
        os.write(1, b"x" * 5_000_000)
        print("y" * 5_000_000, file=sys.stderr)
        int("printed")
    return np.maximum(Z, 0), Z
"""
KINDS = ("hang", "exit", "sys.exit", "segfault", "abort", "kill", "type", "hostile", "print")


@pytest.mark.parametrize("isolate", [False, True])
def test_misbehaviour_is_one_failed_case(isolate, tmp_path, capfd):
    path = tmp_path / "bad.py"
    wrong = {2 * i + 2: kind for i, kind in enumerate(KINDS)}
    path.write_text(f"KINDS = {wrong!r}\n{MISBEHAVE}")
    cases = [Case.parse(f"relu:f32:m{m}h4w5c6:normal:{m}") for m in range(1, 2 * len(KINDS) + 2)]
    workers = Workers(str(path), 2, time_limit=3.0, isolate=isolate)
    judged = list(workers.judge(cases))
    assert sorted(number for number, _, _ in judged) == list(range(len(cases)))
    found = {case["m"]: records[0] for _, case, records in judged}
    failed = {m: record.reason for m, record in found.items() if record.status == "failed"}
    assert failed.keys() == wrong.keys(), failed
    reasons = {wrong[m]: reason for m, reason in failed.items()}
    assert reasons["hang"] == "no answer within 3 seconds from this case"
    assert reasons["exit"] == "the process died of exit status 0 in this case"
    assert "SIGSEGV" in reasons["segfault"]
    assert "SIGABRT" in reasons["abort"]
    assert "SIGKILL" in reasons["kill"]
    assert all(reasons.values())
    assert all(len(record.line()) < 2000 for record in found.values())
    out, err = capfd.readouterr()
    assert len(out) + len(err) < 2000


#: An implementation that is right once in each process.
ONCE = """
import numpy as np
used = []
def relu(Z):
    used.append(Z.tobytes())
    return np.maximum(Z, 0) + (len(set(used)) > 1), Z
"""


@pytest.mark.parametrize("isolated", [True, False])
def test_an_isolated_case_does_not_see_what_its_time_was_foretold_from(isolated, tmp_path):
    """A smaller case is called where nothing yet says how long a size of real networks would take."""
    path = tmp_path / "once.py"
    path.write_text(ONCE)
    (record,) = Judge(load(str(path)), isolated)(Case.parse("relu:f64:m2h1w2c2048:normal:0"))
    assert record.status == ("passed" if isolated else "failed")


def test_isolated_cases_do_not_see_what_others_leave_behind(tmp_path, capsys):
    """At the command line."""
    path = tmp_path / "once.py"
    path.write_text(ONCE)
    asked = ["run", "--impl", str(path), "--ops", "relu", "--dtype", "f64", "--cases", "8"]
    failures = []
    for name, more in (("isolated", ["--isolate", "--time-limit", "30"]), ("together", ["--workers", "1"])):
        out = tmp_path / name
        assert main([*asked, *more, "--shard", "1/1", "--out", str(out)]) in (0, 1)
        lines = (out / "results.jsonl").read_text().splitlines()
        failures.append(sum(json.loads(line)["status"] == "failed" for line in lines))
    assert failures[0] == 0
    assert failures[1] >= 5
    assert main([*asked, "--resume", "--out", str(tmp_path / "isolated")]) == 2
    assert "holds another run" in capsys.readouterr().err
    for seconds in ("0", "nan", "x", "-1"):
        with pytest.raises(SystemExit):
            main([*asked, "--time-limit", seconds])


def test_the_list_of_cases_is_not_held_in_memory():
    """What waits is at most what the workers were handed and have not answered in order."""
    handed = []

    class Slow:
        ahead = 1000

        def judge_batches(self, queue):
            judge = Judge(load("numpy_loops"))
            for batch in queue:
                handed.append(len(batch))
                for number, case in batch:
                    yield number, case, judge(case)

    cases = generate(select(["relu"]), ("f32",), 150, 0)
    stream = in_order(Slow(), batches(cases))
    next(stream)
    assert handed == [50]
    assert sum(1 for _ in stream) == 149
