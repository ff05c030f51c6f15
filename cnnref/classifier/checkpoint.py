"""Checkpoints: what a run needs in order to go on to the same bits, in one .npz file without pickles.

The file holds a JSON text (``run``: the options and the history) and the arrays of the model and of its
optimiser. It is written beside its place, flushed to the disk and renamed, so that whoever stops the
process or pulls the plug finds the old checkpoint or the new one, whole. The same state gives the same
bytes: no time, no machine.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from cnnref.classifier import npy

FORMAT = 1

_RUN = "run"

#: Bytes before the content of a member, without its name.
_LOCAL_HEADER = 30


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
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                members = _members(archive, os.fstat(stream.fileno()).st_size)
                arrays = {name: _array(archive, member) for name, member in members.items()}
            run = json.loads(str(arrays.pop(_RUN)))
        except Exception as error:  # zipfile and json have a dozen for what may be in a file
            said = f"there is no array {error}" if isinstance(error, KeyError) else str(error)
            raise CheckpointError(
                f"{path}: not a checkpoint, or a damaged one: {said[:300] or type(error).__name__}"
            ) from error
    found = run.get("format") if isinstance(run, dict) else None
    if type(found) is not int or found != FORMAT:
        named = str(found)[:20] if isinstance(found, int) else "unknown"
        raise CheckpointError(f"{path}: a checkpoint of format {named}, this version reads format {FORMAT}")
    return run, arrays


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name, checked before one is read: stored as they are, each in bytes of its own."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"{info.filename!r:.80} is compressed")
        if name in members:
            raise ValueError(f"{info.filename!r:.80} is there twice")
        members[name] = info
    end = 0
    for info in sorted(members.values(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise ValueError(f"{info.filename!r:.80} overlaps the member before it")
        end = info.header_offset + _LOCAL_HEADER + info.file_size
    if end > size:
        raise ValueError(f"states {end} bytes of members, the file has {size}")
    return members


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    try:
        return npy.array(archive.read(info))  # checks the CRC
    except ValueError as error:
        raise ValueError(f"{info.filename!r:.80} {error}") from error
