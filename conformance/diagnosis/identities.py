"""Identities that hold for every right implementation and need no oracle, asked of one on integers.

- adjoint: ``<G, Z> = <dA, A> = <dW, W>``, since every function here is linear, or homogeneous like relu and
  maximum; and ``Z`` with the bias less ``Z`` without it is the bias, whose gradient is ``<db, b>``;
- stride: every s-th output of stride 1, and the gradient of the upstream gradient with zeros between;
- padding: the same on an image that is padded beforehand;
- batch order: samples in another order give the same results in that order.

The data are integers whose every partial sum is exact, so each identity holds to the bit; where a mean is
divided by a number that is no power of two, within the a-priori bound of its own rounding. Which output
they leave as the wrong one is `conformance.diagnosis.identity_votes`'s to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.diagnosis.identity_layers import LAYERS, Array, Arrays, Asked
from conformance.diagnosis.identity_votes import Ballot, Vote
from conformance.generation.families import squashed

if TYPE_CHECKING:
    from conformance.implementations.implementation import Implementation

#: Draws of integers: a fault may keep an identity by chance, hardly on all of them.
DRAWS = 3
#: Dtypes in which the sums of small integers are exact.
EXACT = ("f32", "f64")
#: Seconds for one failure.
PATIENCE = 1.5


def vote(implementation: Implementation, case: Case, seconds: float = PATIENCE) -> Ballot:
    """Ask the identities of the function of a case, in its shape.

    Parameters
    ----------
    implementation : Implementation
        What is wrong.
    case : Case
        A case that fails; its shape and dtype are used, not its data.
    seconds : float
        When to stop with what was asked so far.

    Returns
    -------
    Ballot
        Without votes and without identities that held where there is none to ask: the function is not
        one of `LAYERS`, or the shape is empty.
    """
    end, ballot = time.monotonic() + seconds, Ballot()
    layer = LAYERS.get(case.op)
    if layer is None or squashed(case) or case.dtype not in EXACT:
        return ballot
    for draw in range(DRAWS):
        asked = Asked(implementation, layer, case, draw)
        if not all(a.size for a in (*asked.arrays.values(), asked.upstream)):
            return ballot
        for name, identity in _IDENTITIES.items():
            if time.monotonic() > end:
                return ballot
            ballot.add(name, identity(asked))
        ballot.unfit.update(dict.fromkeys(asked.unfit))
    return ballot


def _adjoint(asked: Asked) -> list[Vote] | None:
    """``<G, Z> = <dA, A> = <dW, W>``, without the bias."""
    layer, arrays, G = asked.layer, dict(asked.arrays), asked.upstream
    if "b" in arrays:
        arrays["b"] = np.zeros_like(arrays["b"])
    if asked.implementation.settings.value("pool-ties") == "all" and layer.forward == "pool_forward":
        return None
    products: list[tuple[str, str, float]] = []
    Z = asked.forward(asked.case, arrays)
    if Z is not None:
        name = f"{layer.forward}.{layer.output}"
        products.append((name, f"<{layer.upstream}, {layer.output}>", float((G * Z).sum())))
    found = asked.backward(asked.case, arrays, G)
    for argument, gradient in layer.gradients.items():
        if gradient in found:
            value = float((found[gradient] * arrays[argument]).sum())
            products.append((f"{layer.backward}.{gradient}", f"<{gradient}, {argument}>", value))
    if len(products) < 2:
        return None
    groups: list[list[tuple[str, str, float]]] = []
    for product in products:
        near = (g for g in groups if abs(g[0][2] - product[2]) <= 4 * asked.slack * abs(product[2]))
        group = next(near, None)
        groups.append([product]) if group is None else group.append(product)
    if len(groups) == 1:
        return []
    groups.sort(key=lambda group: -len(group))
    text = ", but ".join(f"{' = '.join(p[1] for p in g)} = {g[0][2]:.9g}" for g in groups)
    names = tuple(tuple(p[0] for p in group) for group in groups)
    return [Vote("adjoint", tuple(p[0] for p in products), text, names)]


def _bias(asked: Asked) -> list[Vote] | None:
    """The bias is added once to each output, and its gradient is the sum of the upstream one."""
    layer, arrays = asked.layer, asked.arrays
    if "b" not in arrays or (
        layer.forward.startswith("affine_act") and asked.case.word("activation") == "relu"
    ):
        return None
    without = asked.forward(asked.case, {**arrays, "b": np.zeros_like(arrays["b"])})
    Z = asked.forward(asked.case, arrays)
    votes: list[Vote] = []
    asked_any = False
    if Z is not None and without is not None:
        asked_any = True
        if not asked.same(Z - without, np.broadcast_to(arrays["b"], Z.shape)):
            text = f"{layer.output} with b less {layer.output} without it is not b"
            votes.append(Vote("bias", (f"{layer.forward}.{layer.output}",), text))
    db = asked.backward(asked.case, arrays, asked.upstream).get("db")
    if db is not None:
        asked_any = True
        got = float((db * arrays["b"]).sum())
        wanted = float((asked.upstream * arrays["b"].reshape(-1)).sum())
        if got != wanted:
            text = f"<db, b> = {got:.9g}, but <{layer.upstream}, b> = {wanted:.9g}"
            votes.append(Vote("bias", (f"{layer.backward}.db",), text))
    return votes if asked_any else None


def _compared(
    asked: Asked, identity: str, text: str, other: Case,
    arrays: Callable[[Arrays], Arrays], upstream: Callable[[Array], Array],
    forward: Callable[[Array], Array], gradients: Callable[[str, Array], Array],
) -> list[Vote] | None:  # fmt: skip
    """One vote against each output that another way to the same result gives otherwise."""
    case, layer = asked.case, asked.layer
    pairs: list[tuple[str, Array, Array]] = []
    one, two = asked.forward(case, asked.arrays), asked.forward(other, arrays(asked.arrays))
    if one is not None and two is not None:
        pairs.append((f"{layer.forward}.{layer.output}", one, forward(two)))
    first = asked.backward(case, asked.arrays, asked.upstream)
    second = asked.backward(other, arrays(asked.arrays), upstream(asked.upstream))
    pairs += [(f"{layer.backward}.{n}", first[n], gradients(n, second[n])) for n in first if n in second]
    if not pairs:
        return None
    return [
        Vote(identity, (name,), f"{name} is not {text}")
        for name, got, wanted in pairs
        if not asked.same(got, wanted)
    ]


def _stride(asked: Asked) -> list[Vote] | None:
    """Every s-th output of stride 1."""
    case = asked.case
    if asked.layer.forward not in ("conv_forward", "pool_forward"):
        return None
    window, other = window_of(case), case.replace(s=1)
    steps = window.rows.s, window.columns.s
    reach = [(n - 1) * s + 1 for n, s in zip(window.outputs, steps, strict=True)]
    wide = window_of(other)
    sides = ((w.before, w.after) for w in (window.rows, window.columns))
    # Padding by the rule "same" depends on the stride, and a rounded-up last window is none of stride 1.
    if steps == (1, 1) or list(sides) != [(w.before, w.after) for w in (wide.rows, wide.columns)]:
        return None
    if any(need > there for need, there in zip(reach, wide.outputs, strict=True)):
        return None
    kept = (slice(None), *(slice(0, last, s) for last, s in zip(reach, steps, strict=True)))

    def spread(G: Array) -> Array:
        whole = np.zeros((G.shape[0], *wide.outputs, G.shape[3]))
        whole[kept] = G
        return whole

    text = f"that of stride 1 taken every {steps[0]} rows and {steps[1]} columns"
    return _compared(asked, "stride", text, other, dict, spread, lambda Z: Z[kept], lambda n, g: g)


def _padding(asked: Asked) -> list[Vote] | None:
    """The same on an image that is padded beforehand; for pad3d, in two steps."""
    case, layer = asked.case, asked.layer
    if layer.forward == "conv_forward":
        window, rest, image = window_of(case), 0, "A_prev"
        edges = [(w.before, w.after) for w in (window.rows, window.columns)]
    elif layer.forward == "pad3d" and case["p"] > 1:
        rest, image, edges = case["p"] - 1, "input", [(1, 1), (1, 1)]
    else:
        return None
    other = case.replace(h=case["h"] + sum(edges[0]), w=case["w"] + sum(edges[1]), p=rest)
    if not any(map(any, edges)):
        return None
    if layer.forward == "conv_forward" and window_of(other).outputs != window_of(case).outputs:
        return None
    inner = (slice(None), *(slice(low, -high or None) for low, high in edges))

    def padded(arrays: Arrays) -> Arrays:
        return {**arrays, image: np.pad(arrays[image], ((0, 0), *edges, (0, 0)))}

    def cropped(name: str, gradient: Array) -> Array:
        return gradient[inner] if name == layer.gradients[image] else gradient

    text = f"that of the image with its padding written out{f' and padding {rest}' if rest else ''}"
    return _compared(asked, "padding", text, other, padded, lambda G: G, lambda Z: Z, cropped)


def _batch_order(asked: Asked) -> list[Vote] | None:
    """The same results for samples in another order."""
    if asked.case["m"] < 2:
        return None
    images = {"A_prev", "input", "X", "Z"}

    def turned(arrays: Arrays) -> Arrays:
        return {n: np.roll(a, 1, 0) if n in images else a for n, a in arrays.items()}

    def back(name: str, gradient: Array) -> Array:
        return gradient if name in ("dW", "db") else np.roll(gradient, -1, 0)

    def roll(G: Array) -> Array:
        return np.roll(G, 1, 0)

    text = "that of the samples in another order, put back in order"
    return _compared(asked, "batch order", text, asked.case, turned, roll, lambda Z: np.roll(Z, -1, 0), back)


_IDENTITIES: dict[str, Callable[[Asked], list[Vote] | None]] = {
    "adjoint": _adjoint,
    "bias": _bias,
    "stride": _stride,
    "padding": _padding,
    "batch order": _batch_order,
}
