"""``python -m cnnref``: a run that is killed ends in the same bits, and what the commands say and write."""

import json
import os
import random
import re
import signal
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from train_support import EPOCHS, finish, start

from cnnref.__main__ import main
from cnnref.classifier import checkpoint, data
from cnnref.classifier.checkpoint import CheckpointError
from cnnref.classifier.run import Options, Run
from cnnref.classifier.train import CHECKPOINT, TrainingError, alone, batches, resume_or_start, train


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody stopped, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, finish(folder)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_killed_at_any_moment_it_ends_in_the_same_bits(whole, tmp_path, optimizer):
    expected = whole[0] / CHECKPOINT
    if optimizer == "sgd":
        expected = tmp_path / "whole" / CHECKPOINT
        finish(expected.parent, "--optimizer", "sgd")
    folder, rng = tmp_path / "killed", random.Random(optimizer)
    epochs, kills = [], 0
    while True:
        process = start(folder, "--optimizer", optimizer)
        # Let it get to work, then strike somewhere within the next epochs or a write.
        before = _written(folder)
        while process.poll() is None and _written(folder) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
        epochs.append(Run.load(folder / CHECKPOINT).epochs)
        if epochs[-1] == EPOCHS:
            break
    assert kills >= 2
    assert len(set(epochs)) > 1
    finish(folder, "--optimizer", optimizer)
    assert (folder / CHECKPOINT).read_bytes() == expected.read_bytes()


def _written(folder):
    try:
        return os.stat(folder / CHECKPOINT).st_ino
    except FileNotFoundError:
        return None


def test_killed_before_the_first_checkpoint_and_in_a_write(whole, tmp_path):
    process = start(tmp_path)
    time.sleep(0.4)
    process.kill()
    process.communicate()
    # What a kill in the middle of a write leaves: half a file beside the checkpoint.
    (tmp_path / f"{CHECKPOINT}.part").write_bytes((whole[0] / CHECKPOINT).read_bytes()[:1000])
    finish(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == (whole[0] / CHECKPOINT).read_bytes()
    assert not (tmp_path / f"{CHECKPOINT}.part").exists()


def test_more_epochs_go_on_from_fewer(whole, tmp_path):
    finish(tmp_path, epochs=3)
    assert Run.load(tmp_path / CHECKPOINT).epochs == 3
    finish(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == (whole[0] / CHECKPOINT).read_bytes()


def test_threads_do_not_matter_and_seeds_do(whole, tmp_path):
    finish(tmp_path / "two", "--threads", "2")
    finish(tmp_path / "seed", "--seed", "4")
    expected = (whole[0] / CHECKPOINT).read_bytes()
    assert (tmp_path / "two" / CHECKPOINT).read_bytes() == expected
    assert (tmp_path / "seed" / CHECKPOINT).read_bytes() != expected


def test_what_a_run_prints(whole):
    lines = whole[1].splitlines()
    assert lines[0].startswith(
        "scikit-learn's digits: 1085 images to train on, 357 for validation, 355 for the test"
    )
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == EPOCHS
    pattern = r"epoch \d/8  loss \d\.\d{4}  validation loss \d\.\d{4}  accuracy \d\d\.\d\d%"
    assert all(re.fullmatch(pattern, line) for line in epochs)
    assert re.fullmatch(r"test accuracy \d\d\.\d\d% \(\d+ of 355 wrong\)", lines[-2])


def test_the_default_run_reaches_98_percent(tmp_path, capsys):
    begin = time.perf_counter()
    assert main(["train", "--out", str(tmp_path)]) == 0
    seconds = time.perf_counter() - begin
    accuracy = float(re.search(r"test accuracy (\d+\.\d+)%", capsys.readouterr().out).group(1))
    assert accuracy >= 98
    if os.getloadavg()[0] < 1.5:  # the time is that of a machine that does nothing else
        assert seconds < 30


def test_every_image_once_an_epoch_in_another_order():
    orders = [list(batches(50, 8, 1, epoch)) for epoch in (1, 2)]
    for order in orders:
        assert [len(batch) for batch in order] == [8] * 6 + [2]
        assert sorted(np.concatenate(order)) == list(range(50))
    assert (np.concatenate(orders[0]) != np.concatenate(orders[1])).any()


def test_a_checkpoint_of_another_run_is_refused(whole, tmp_path):
    dataset = data.digits()
    run = Run.load(whole[0] / CHECKPOINT)
    path = tmp_path / CHECKPOINT
    run.save(path)
    assert resume_or_start(run.options, dataset, path).epochs == EPOCHS
    other = Options(**{**vars(run.options), "seed": 9, "batch_size": 5})
    with pytest.raises(CheckpointError, match=r"seed 3 \(asked for: 9\), batch_size 16 \(asked for: 5\)"):
        resume_or_start(other, dataset, path)
    swapped = dataset._replace(train=dataset.validation)
    with pytest.raises(CheckpointError, match="is of a run on other images"):
        resume_or_start(run.options, swapped, path)


def test_every_damaged_byte_of_a_checkpoint(whole, tmp_path):
    """Damage is refused, or lies where the zip format keeps what nobody reads; the weights never change."""
    path, content = tmp_path / CHECKPOINT, (whole[0] / CHECKPOINT).read_bytes()
    expected = Run.load(whole[0] / CHECKPOINT).model.parameters
    refusals = 0
    for place in range(0, len(content), max(1, len(content) // 400)):
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        try:
            found = Run.load(path).model.parameters
        except CheckpointError:
            refusals += 1
        else:
            assert all((expected[name] == W).all() for name, W in found.items())
    assert refusals > 300
    for length in range(0, len(content), 997):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            Run.load(path)


def test_a_checkpoint_that_is_a_bomb(tmp_path):
    path = tmp_path / CHECKPOINT
    np.savez_compressed(path, run=np.zeros(1 << 23))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="is compressed"):
            checkpoint.read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_header_in_a_checkpoint_makes_nobody_allocate(tmp_path):
    path = tmp_path / CHECKPOINT
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "run.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
        )
    with pytest.raises(CheckpointError, match="does not hold what its header states"):
        checkpoint.read(path)


def test_a_checkpoint_of_another_format(tmp_path):
    path = tmp_path / CHECKPOINT
    checkpoint.write(path, {}, {"a": np.zeros(3)})
    assert checkpoint.read(path)[1].keys() == {"a"}
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        Run.load(path)
    np.savez(path.with_suffix(""), run=np.array(json.dumps({"format": 99})))
    with pytest.raises(CheckpointError, match=r"format 99, this version reads format 1"):
        checkpoint.read(path)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    dataset = data.digits()
    run = Run.start(Options(optimizer="sgd", learning_rate=1e30), dataset)
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match="try a lower --learning-rate"):
        train(run, dataset, 3, tmp_path / CHECKPOINT)


def test_two_runs_do_not_share_a_folder(tmp_path):
    with alone(tmp_path), pytest.raises(TrainingError, match="another run writes there"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--epochs", "0"], "must be at least 1, got 0"),
        (["train", "--seed", "-1"], "must be at least 0, got -1"),
        (["train", "--learning-rate", "nan"], "must be above 0"),
        (["train", "--data", "/nowhere/at/all"], "/nowhere/at/all: no such folder"),
        (["train", "--filters", "4", "4", "4", "4", "--out", "{tmp}"], "block 4 needs at least 2 pixels"),
        (["predict", "{tmp}/a.png", "--model", "{tmp}"], "No such file or directory"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_usage_errors_in_one_line(tmp_path, capsys, arguments, message):
    try:
        status = main([argument.format(tmp=tmp_path) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    err = capsys.readouterr().err
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_help_and_version(capsys):
    for arguments, text in (
        (["--version"], "cnnref "),
        (["--help"], "examples:"),
        (["train", "-h"], "examples:"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out
