# PYTHON_ARGCOMPLETE_OK
"""``python -m cnnref``: train the post's classifier, and ask it what a picture shows."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TextIO

import cnnref
from cnnref.classifier import pages, predict
from cnnref.classifier.checkpoint import CheckpointError
from cnnref.classifier.data import DataError, Dataset, load
from cnnref.classifier.optimizers import OPTIMIZERS
from cnnref.classifier.run import LEARNING_RATES, Options, Run
from cnnref.classifier.train import CHECKPOINT, TrainingError, alone, evaluate, resume_or_start, train

DONE, DISAGREES, UNUSABLE, STOPPED = 0, 1, 2, 130

DEFAULT_FOLDER = "cnnref-training"

#: From paper to ink, for a picture made of characters.
_SHADES = " .:-=+*#%@"

#: Epochs where none are asked for: on the small digits, and on a folder of MNIST's size.
_EPOCHS_DIGITS, _EPOCHS_FOLDER = 60, 10

_ABOUT = """Train the post's classifier on handwritten digits, on the functions of cnnref alone, and use it.

Exit status: 0 done, 1 --agreement found disagreement, 2 the command could not run as asked, 130 stopped (the
same command goes on). CNNREF_TRACEBACK=1 shows where an error came from."""

_EXAMPLES = """examples:
  python -m cnnref train                               the 1,797 digits of scikit-learn, seconds
  python -m cnnref train --data mnist --epochs 5       a folder with the four IDX files, plain or gzip
  python -m cnnref train --seed 7 --out seed7 --optimizer sgd
  python -m cnnref train --agreement                   beside the same training in PyTorch
  python -m cnnref predict                             a digit that the model was not trained on
  python -m cnnref predict seven.png --page seven.html what the model saw of it, layer by layer
  python -m cnnref predict scans/ --model seed7
  eval "$(register-python-argcomplete cnnref)"         completion of `cnnref`, in bash or zsh"""


class _Parser(argparse.ArgumentParser):
    """Errors in one line; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    looks: dict[str, Any] = {"epilog": _EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
    top = _Parser("cnnref", description=_ABOUT, **looks)
    top.add_argument("--version", action="version", version=f"cnnref {cnnref.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    learn = commands.add_parser("train", help="train, with checkpoints and a report", **looks)
    learn.description = (
        "Train from the seed, or go on from the checkpoint in --out; "
        "writes checkpoint.npz and training.html there."
    )
    add = learn.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of IDX files (default: the digits of scikit-learn)")
    add("--epochs", type=_positive, metavar="N",
        help=f"epochs in all (default {_EPOCHS_DIGITS}, with --data {_EPOCHS_FOLDER})")  # fmt: skip
    add("--seed", type=_natural, default=0, metavar="S", help="seeds weights and batches (default 0)")
    add("--out", type=Path, default=Path(DEFAULT_FOLDER), metavar="DIR",
        help=f"for the checkpoint and the report (default {DEFAULT_FOLDER})")  # fmt: skip
    standard = Options()
    add("--filters", type=_positive, nargs="*", default=standard.filters, metavar="N",
        help=f"filters of each conv-relu-pool block (default {_list(standard.filters)})")  # fmt: skip
    add("--hidden", type=_positive, nargs="*", default=standard.hidden, metavar="N",
        help=f"width of each hidden affine layer (default {_list(standard.hidden)})")  # fmt: skip
    add("--optimizer", choices=sorted(OPTIMIZERS), default=standard.optimizer, help="default adam")
    rates = ", ".join(f"{rate} for {name}" for name, rate in LEARNING_RATES.items())
    add("--learning-rate", type=_rate, metavar="R", help=f"default {rates}")
    add("--batch", type=_positive, default=standard.batch_size, metavar="N",
        help=f"images a batch (default {standard.batch_size})")  # fmt: skip
    add("--dtype", choices=("float32", "float64"), default=standard.dtype, help="default float32")
    add(
        "--threads",
        type=_positive,
        metavar="N",
        help="threads (default all, one for the small digits); the result does not depend on them",
    )
    add("--agreement", action="store_true",
        help="train in PyTorch beside it and show in the report how far they agree")  # fmt: skip

    guess = commands.add_parser("predict", help="say what an image, or each in a folder, shows", **looks)
    guess.description = (
        "Print file, class and probability of an image (PNG, PGM, ... or .npy), or all in a folder; without "
        "one, of a digit of the test. Writing on a larger sheet is cut out and centred as MNIST's is."
    )
    guess.add_argument("image", type=Path, metavar="IMAGE", nargs="?", help="an image, or a folder of images")
    add = guess.add_argument
    add("--data", type=Path, metavar="DIR",
        help="without an image: a folder of IDX files (default: scikit-learn's)")  # fmt: skip
    add("--model", type=Path, default=Path(DEFAULT_FOLDER), metavar="PATH",
        help=f"a checkpoint or the folder that holds it (default {DEFAULT_FOLDER})")  # fmt: skip
    add("--ink", choices=("auto", "light", "dark"), default="auto",
        help="light or dark writing (default: the opposite of the border)")  # fmt: skip
    add(
        "--page", type=Path, metavar="FILE", help="write a page that shows what the model saw, layer by layer"
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    line = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks; the process ends in there
        import argcomplete

        argcomplete.autocomplete(line)
    with _reader():
        asked = line.parse_args(arguments)
        try:
            status = {"train": _train, "predict": _predict}[asked.command](asked)
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            _refuse(asked.command, "stopped; the same command goes on where it was")
            return STOPPED
        except Exception as error:
            if os.environ.get("CNNREF_TRACEBACK"):
                traceback.print_exc()
            return _refuse(asked.command, _sentence(error))


def _sentence(error: Exception) -> str:
    """What could not be done, in one line."""
    if isinstance(error, (DataError, CheckpointError, TrainingError)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}"
    if isinstance(error, FileExistsError):
        return f"{error.filename}: is a file, expected a folder"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if type(error) is ValueError:  # a function's refusal of what it was given
        return str(error)
    short = " ".join(str(error).split())[:200]
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return (
        f"internal error: {type(error).__name__}: {short} ({where}); CNNREF_TRACEBACK=1 shows the traceback"
    )


class _Outlet:
    """Standard output that may have been closed by who reads it: the rest then goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._heard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._heard():
            self._stream.flush()

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is in its buffer too
            os.close(nowhere)


@contextlib.contextmanager
def _reader() -> Iterator[None]:
    """Print to an `_Outlet`."""
    if sys.stdout is None:
        yield
        return
    outlet: Any = _Outlet(sys.stdout)
    with contextlib.redirect_stdout(outlet):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a full disk has been told of, if the command got so far
                outlet.flush()


def _train(asked: argparse.Namespace) -> int:
    from cnnref.classifier import training_report

    # A batch of the small digits is microseconds of work: a second thread costs more than it brings.
    threads = asked.threads or (cnnref.get_num_threads() if asked.data else 1)
    cnnref.set_num_threads(threads)
    options = Options(
        seed=asked.seed,
        filters=tuple(asked.filters),
        hidden=tuple(asked.hidden),
        optimizer=asked.optimizer,
        learning_rate=asked.learning_rate or LEARNING_RATES[asked.optimizer],
        batch_size=asked.batch,
        dtype=asked.dtype,
    )
    pages.require()  # before hours of work, not after
    comparison = _comparison() if asked.agreement else None
    dataset = load(asked.data)
    epochs = asked.epochs or (_EPOCHS_FOLDER if asked.data else _EPOCHS_DIGITS)
    with alone(asked.out):
        path = asked.out / CHECKPOINT
        run = resume_or_start(options, dataset, path)
        print(_sizes(dataset), flush=True)
        if run.epochs:
            print(f"{path}: {_going_on(run.epochs, epochs)}", flush=True)
        start = time.perf_counter()
        train(run, dataset, epochs, path, _say, _bar)
        seconds = time.perf_counter() - start
        probabilities = run.model.predict(dataset.test.images)
        _, accuracy = evaluate(probabilities, dataset.test)
        report = asked.out / "training.html"
        agreement = comparison.compare(options, dataset, epochs, _say) if comparison else None
        training_report.write(report, run, dataset, probabilities, agreement)
    wrong = round((1 - accuracy) * len(dataset.test.labels))
    print(f"{_paint('test accuracy', 'green')} {accuracy:.2%} ({wrong} of {len(dataset.test.labels)} wrong)")
    print(f"{seconds:.1f} s of training; report: {report}")
    if agreement is not None and not agreement.holds:
        _refuse("train", "does not agree with PyTorch as closely as it should")
        return DISAGREES
    return DONE


def _going_on(done: int, epochs: int) -> str:
    """What becomes of a run of `done` epochs of which `epochs` in all are asked for."""
    if done < epochs:
        return f"goes on after epoch {done}"
    more = "" if done == epochs else f", and --epochs {epochs} are epochs in all"
    return (
        f"has {done} epochs{more}: nothing to train, the report is written again; "
        f"--epochs {done + epochs} trains {epochs} more, --out begins a run of its own"
    )


def _predict(asked: argparse.Namespace) -> int:
    place = asked.model / CHECKPOINT if asked.model.is_dir() else asked.model
    try:
        run = Run.load(place)
    except FileNotFoundError as error:
        raise CheckpointError(f"{place}: {error.strerror}; `python -m cnnref train` makes a model") from None
    if asked.page is not None:
        pages.require()
    shown: list[tuple[str, predict.Seen]] = []
    refused = count = 0
    one = asked.image is None or not asked.image.is_dir()
    for name, found in _looked_at(asked, run):
        if isinstance(found, DataError):
            refused += _refuse("predict", str(found)) == UNUSABLE
            continue
        for i, seen in enumerate(found):
            label = f"{name}[{i}]" if len(found) > 1 else name
            _guess(run, label, seen.image, drawn=one and len(found) == 1)
            if seen.blank:
                _warn("predict", f"{label}: nothing is written in it, the answer means nothing")
            count += 1
            if asked.page is not None and count <= pages.MOST:
                shown.append((label, seen))
    if shown:
        from cnnref.classifier import prediction_page

        prediction_page.write(asked.page, place, run.model, shown, count)
        print(f"page: {asked.page}", file=sys.stderr)
    return UNUSABLE if refused else DONE


def _looked_at(asked: argparse.Namespace, run: Run) -> Iterator[tuple[str, list[predict.Seen] | DataError]]:
    """Each file that was asked for with its images, or why it has none; without one a digit of the test."""
    if asked.image is None:
        yield _test_digit(run, asked.data)
        return
    if asked.data is not None:
        raise DataError("--data: is for a digit of its test; leave it out beside an image")
    for path in predict.images_in(asked.image):
        try:
            yield str(path), predict.look(path, run.model.image_shape, asked.ink)
        except DataError as error:
            yield str(path), error


def _test_digit(run: Run, folder: Path | None) -> tuple[str, list[predict.Seen]]:
    """The first image of a test that the model was not trained on, and its name."""
    dataset = load(folder)
    if run.data["digest"] != dataset.digest():
        raise DataError(
            f"the model was trained on {run.data['name']!r:.80}, and its test is not that of {dataset.name}: "
            "name an image, or the folder it was trained on with --data"
        )
    label = f"{dataset.name}, first image of the test (a {dataset.test.labels[0]})"
    return label, [predict.Seen(dataset.test.images[0])]


def _guess(run: Run, name: str, image: Any, drawn: bool) -> None:
    """Print what an image shows; on a terminal, if it is `drawn`, what the model sees too."""
    if drawn and sys.stdout.isatty():
        for row in image[..., 0]:
            print("  " + "".join(2 * _SHADES[round(float(value) * (len(_SHADES) - 1))] for value in row))
    probabilities = run.model.predict(image[None])[0]
    print(f"{name}\t{probabilities.argmax()}\t{probabilities.max():.4f}")


def _comparison() -> ModuleType:
    try:
        from cnnref.classifier import agreement
    except ModuleNotFoundError as error:
        raise DataError(
            f"{error.name} is not installed; --agreement needs PyTorch: pip install torch"
        ) from None
    return agreement


def _say(line: str) -> None:
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(line)
    else:
        print(line, flush=True)


def _bar(batches: Iterable[Any], count: int, label: str) -> Iterable[Any]:
    """A progress bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        return batches
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(batches, label, count, leave=False, unit="batch", dynamic_ncols=True)
    return bar


def _refuse(command: str, message: str) -> int:
    print(f"{_paint(f'cnnref {command}:', 'red', sys.stderr)} {message}", file=sys.stderr)
    return UNUSABLE


def _warn(command: str, message: str) -> None:
    print(f"{_paint(f'cnnref {command}:', 'yellow', sys.stderr)} {message}", file=sys.stderr)


def _paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in a colour where `stream` (standard output) is a terminal that shows colours."""
    try:
        from termcolor import colored
    except ModuleNotFoundError:  # NumPy alone is installed
        return text
    plain = stream is not None and not stream.isatty()
    return colored(text, colour, attrs=["bold"], no_color=True if plain else None)


def _list(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def _sizes(dataset: Dataset) -> str:
    train, validation, test = (len(part.labels) for part in (dataset.train, dataset.validation, dataset.test))
    height, width, _ = dataset.image_shape
    return (
        f"{dataset.name}: {train} images to train on, {validation} for validation, {test} for the test, "
        f"{height}x{width} pixels"
    )


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0 and finite, got {text}")
    return number


# argparse says "invalid int value" with these names.
_natural.__name__ = _positive.__name__ = "int"
_rate.__name__ = "float"

if __name__ == "__main__":
    sys.exit(main())
