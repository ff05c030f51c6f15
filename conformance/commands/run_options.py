"""What ``run`` and ``gate`` are asked: the implementation, which cases, where the report goes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from typing import Any

from conformance.cases.dtypes import DTYPES, KNOWN, NAMES
from conformance.commands import settings_options
from conformance.commands.usage import DEFAULT_DIRECTORY, DEFAULT_IMPLEMENTATION, UsageError, split
from conformance.implementations.dialects.reference import is_pair
from conformance.operations import OPERATIONS, select
from conformance.runs.options import Options
from conformance.verdict.record import MODEL

DEFAULT_CASES = 200


def add_implementation(command: argparse.ArgumentParser) -> None:
    """Add ``--impl`` to a command."""
    command.add_argument(
        "--impl",
        metavar="M",
        help="module, module:attribute, path to a .py file, exec:COMMAND or an adapter's name "
        f"(default {DEFAULT_IMPLEMENTATION})",
    )


def add(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    add_implementation(command)
    settings_options.add(command)
    many: dict[str, Any] = {"action": "extend", "nargs": "+"}
    command.add_argument(
        "--ops", **many, metavar="OP", help="operations or shell patterns of them (default all)"
    )
    command.add_argument(
        "--dtype", **many, metavar="DTYPE", help="f32, f64, f16, bf16, or float32 and so on (default f32 f64)"
    )
    command.add_argument(
        "--cases", type=int, metavar="N", help=f"cases per operation and dtype (default {DEFAULT_CASES})"
    )
    command.add_argument(
        "--seed", type=seed, metavar="S",
        help="seeds shapes and data (default 0); `random` takes one from the system and says which",
    )  # fmt: skip
    command.add_argument(
        "--shapes", type=Path, metavar="FILE",
        help="judge these too, in every family of data: case lines, or shapes such as "
        "`conv2d: n=8 c=3 h=224 w=224 k=64 f=7 s=2 p=3`",
    )  # fmt: skip
    command.add_argument(
        "--inputs", metavar="FILE",
        help="judge the tensors of this .npz or .safetensors too: OP/ARRAY, or ARRAY if --ops names one",
    )  # fmt: skip
    command.add_argument(
        "--only-shapes", action="store_true",
        help="judge what --shapes and --inputs say, and no cases of the suite's",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, default=Path(DEFAULT_DIRECTORY), metavar="DIR",
        help=f"where the report goes (default {DEFAULT_DIRECTORY})",
    )  # fmt: skip


class Drawn(int):
    """A seed taken from the system."""


def seed(text: str) -> int:
    """A seed as it is written; ``random`` is one that nobody knows yet."""
    return Drawn(SystemRandom().randrange(10**9)) if text == "random" else int(text)


def tell_seed(asked: argparse.Namespace) -> None:
    """Print the seed, if it was taken from the system."""
    if isinstance(asked.seed, Drawn):
        print(f"Seed: {asked.seed:d}, taken from the system; the same cases again: --seed {asked.seed:d}")


def options(asked: argparse.Namespace, baseline: Mapping[str, Any] | None = None) -> Options:
    """What a run was asked for; what was not said comes from the baseline, if there is one.

    Raises
    ------
    UsageError
        If an operation, a dtype or a number is not one that a run can take.
    """
    before = (baseline or {}).get("options", {})
    try:
        known = [name for name in before.get("ops", ()) if name in OPERATIONS]  # `gate` tells of the others
        if before and not known:
            raise UsageError("--baseline: the suite has none of its operations; delete it, write another")
        patterns = split(asked.ops) or known
        operations = tuple(operation.name for operation in select(patterns))
    except ValueError as error:
        raise UsageError(f"--ops: {error}") from error
    words = split(asked.dtype) or list(before.get("dtypes", DTYPES))
    for word in words:
        if word not in NAMES:
            raise UsageError(f"--dtype: {word!r} is not a dtype; expected one of {', '.join(NAMES)}")
    chosen = {NAMES[word] for word in words}
    cases = before.get("cases", DEFAULT_CASES) if asked.cases is None else asked.cases
    chosen_seed = before.get("seed", 0) if asked.seed is None else int(asked.seed)
    if cases < 1:
        raise UsageError(f"--cases: {cases} cases, expected at least 1")
    if not 0 <= chosen_seed < 10**9:
        raise UsageError(f"--seed: {chosen_seed}, expected 0 to 999999999")
    implementation = asked.impl or (baseline or {}).get("implementation", DEFAULT_IMPLEMENTATION)
    dtypes = tuple(d for d in KNOWN if d in chosen)
    settings = settings_options.settings(asked)
    return _with_own(Options(implementation, operations, dtypes, cases, chosen_seed, settings), asked, before)


def _with_own(options: Options, asked: argparse.Namespace, before: Mapping[str, Any]) -> Options:
    """The user's own cases beside the suite's, or instead of them; those of the baseline if none are given.

    Raises
    ------
    UsageError
        If a file cannot be used, or is asked for alone and not given.
    """
    if asked.shapes is None and asked.inputs is None:
        if asked.only_shapes:
            raise UsageError("--only-shapes: of what? give --shapes FILE or --inputs FILE")
        own = [
            text for text in before.get("own", ()) if text.partition(":")[0] in (*options.operations, MODEL)
        ]
        return replace(options, own=tuple(own), only=before.get("only", False) and bool(own))
    # Only here, for it reads the tables of all dialects.
    from conformance.commands import own_cases
    from conformance.generation.given import digest

    if asked.shapes is not None and is_pair(options.implementation):
        of_models = own_cases.of_models(asked.shapes)
        if of_models and asked.inputs is not None:
            raise UsageError(f"--inputs: not with --shapes of a {MODEL} of several operations")
        if of_models:
            return replace(options, own=tuple(of_models), only=asked.only_shapes)
    cases = []
    if asked.shapes is not None:
        cases += own_cases.of_shapes(asked.shapes, options.operations, options.dtypes, options.seed)
    if asked.inputs is not None:
        named = bool(asked.ops)
        cases += own_cases.of_inputs(asked.inputs, options.operations, options.dtypes, named)
    files = sorted({case.file for case in cases if case.file})
    own = list(dict.fromkeys(map(str, cases)))
    alone = own_cases.restricted(options.operations, options.dtypes, cases) if asked.only_shapes else {}
    return replace(
        options, own=tuple(own), only=asked.only_shapes, digest=" ".join(map(digest, files)), **alone
    )
