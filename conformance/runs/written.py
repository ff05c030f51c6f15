"""``results.jsonl`` as it was written, so that it shows if another program changes it while a run goes on."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from conformance.runs.options import SweepError

#: Bytes read at a time.
_PIECE = 1 << 20


class Written:
    """``results.jsonl``, and what is known to stand in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = blake2b()

    def begin(self) -> None:
        """Take what stands in it for right."""
        self._digest = self._read()

    def add(self, text: str) -> str:
        """Expect `text` behind it."""
        self._digest.update(text.encode("ascii"))
        return text

    def _read(self) -> blake2b:
        found = blake2b()
        with open(self.path, "rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
        return found

    def check(self) -> None:
        """See that it holds what was written, and nothing else.

        Raises
        ------
        SweepError
            If it does not.
        """
        if not self.path.exists() or self._read().digest() != self._digest.digest():
            raise SweepError(
                f"{self.path} was changed by another program while the run went on; run it again"
            )
