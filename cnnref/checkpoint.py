"""Checkpoints: what a run needs in order to go on to the same bits, in one .npz file without pickles.

The file holds a JSON text (``run``: the options and the history) and the arrays of the model and of its
optimiser. It is written beside its place, flushed to the disk and renamed, so that whoever stops the
process or pulls the plug finds the old checkpoint or the new one, whole. The same state gives the same
bytes: no time, no machine.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1

_RUN = "run"


class CheckpointError(ValueError):
    """A file is no usable checkpoint; the message is one line that names it and says what is wrong."""


def write(path: Path, run: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Replace the checkpoint at `path`, all at once.

    Parameters
    ----------
    path : Path
        The file; a ``.part`` file beside it is overwritten.
    run : dict
        What JSON can hold.
    arrays : dict of str to ndarray
        No array may be called ``run``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    text = np.array(json.dumps({"format": FORMAT, **run}, sort_keys=True))
    with part.open("wb") as stream:
        np.savez(stream, **{_RUN: text}, **arrays)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
    # The rename is on the disk only when the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return ``run`` and the arrays.

    Raises
    ------
    CheckpointError
        If the file is damaged, or not a checkpoint of this format.
    OSError
        If the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            arrays = {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
        run = json.loads(str(arrays.pop(_RUN)))
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a checkpoint, or a damaged one: {error}") from error
    found = run.get("format") if isinstance(run, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path}: a checkpoint of format {found}, this version reads format {FORMAT}")
    return run, arrays


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    # Stored as they are, arrays cannot be larger than the file: no header makes anyone allocate more.
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    content = archive.read(info)  # checks the CRC
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{info.filename} has the .npy version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{info.filename} does not hold what its header states")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)
