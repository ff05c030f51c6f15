"""One measured call."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = ("mode", "activation", "approximate", "statistics", "slopes")


@dataclass(frozen=True)
class Row:
    """One measured call.

    Attributes
    ----------
    function : str
        A function of `cnnref`.
    layer : str
        The layer's name; rows of one layer share it.
    sizes : dict
        The extents by the letters of `conformance.operations` (m, h, w, c, f, k, s, p, g, i, o, n), and its
        words (mode, activation); g is left out where it is 1.
    dtype : str
    threads : int
    small : bool
        Whether the row belongs to the small calls.
    quick, peers : bool
        Whether it is part of ``--quick``, and whether JAX, ONNX Runtime and NumPy are measured on it too.
    """

    function: str
    layer: str
    sizes: dict[str, int | str]
    dtype: str = "float32"
    threads: int = 1
    small: bool = False
    quick: bool = False
    peers: bool = False

    @property
    def name(self) -> str:
        """The row in one word, unique; ``--only`` patterns match it."""
        return f"{self.function}/{self.layer}/{self.dtype}/{self.threads}"

    @property
    def group(self) -> str:
        """The key of `AIMS` that the row counts for."""
        if self.small:
            return "small calls"
        if self.dtype in ("float16", "bfloat16"):
            family = self.function.partition("_")[0]
            return f"half {family if family in ('conv', 'affine') else 'pooling and pointwise'}"
        if self.transposed:
            return "conv transposed"
        if self.groups > 1 and not self.groups == self.sizes["c"] == self.sizes["k"]:
            return "conv grouped"
        if self.function.startswith("conv_"):
            return f"conv {self.dtype}"
        return "affine" if self.function.startswith("affine_") else "pooling and pointwise"

    @property
    def shape(self) -> str:
        """The sizes, readable."""
        z = self.sizes
        if "i" in z:
            text = f"{z['m']}x{z['i']}x{z['o']}"
        else:
            text = "x".join(str(z[letter]) for letter in "mhwcn" if letter in z)
        text += "".join(f" {letter}{z[letter]}" for letter in "fkspg" if letter in z)
        return text + "".join(f" {z[word]}" for word in WORDS if word in z)

    def letter(self, name: str) -> int:
        """One extent."""
        value = self.sizes[name]
        assert isinstance(value, int), name
        return value

    @property
    def groups(self) -> int:
        """Groups of a convolution."""
        return int(self.sizes.get("g", 1))

    @property
    def transposed(self) -> bool:
        """Whether this is a transposed convolution."""
        return self.function.startswith("conv_transpose")

    @property
    def extents(self) -> tuple[int, int]:
        """(n_H, n_W) of the output of a convolution or pooling."""
        f, s, p = self.letter("f"), self.letter("s"), int(self.sizes.get("p", 0))
        if self.transposed:
            return (self.letter("h") - 1) * s + f - 2 * p, (self.letter("w") - 1) * s + f - 2 * p
        return (self.letter("h") + 2 * p - f) // s + 1, (self.letter("w") + 2 * p - f) // s + 1
