"""Averages that are no sum with a division behind it, which a module declares as its ``algorithm``.

*running-mean*: ``m_k = m_(k-1) + (x_k - m_(k-1)) / k``. The k-th update rounds by ``u |m_k| + 2 u |x_k -
m_(k-1)| / k``, which the later ones shrink by ``k / n``. With ``S = sum|x| / n`` and ``k |m_k| <= n S`` the
first parts add up to ``n u S``, the second to ``2 u (S + (1 + ln n) S)``: ``(n + 4 + 2 ln n) u S`` in all
(West 1979 has the update). Exact data do not stay exact.

*integral-image*: a window is ``P(b, r) - P(t, r) - P(b, l) + P(t, l)``, P the sums from the first pixel on
(Crow 1984). Each is a sum over an image of h by w pixels in which a term takes part in h + w roundings, at
most T = sum|x| in size, and three more roundings of at most 2 T: ``(4 (h + w) + 6) u T / D`` and 2 u for the
division. The error is one of the whole image, however small the window. Of the gradient, whose terms are
spread from the corners of the windows in the same way, likewise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.arithmetic import Limit
from conformance.bounds.sums import Terms
from conformance.cases.case import Case


def running(terms: Terms) -> Terms:
    """The terms of a mean of n, counted so that ``(n + 1) u S`` is the bound of a running one."""
    return Terms(lambda: terms.n + 3 + 2 * np.log(np.maximum(terms.n, 1)), terms.S)


def integral(case: Case, terms: Terms, x: NDArray[Any], divisor: Limit) -> Terms:
    """Likewise of an integral image over `x`; `divisor` is that of each window."""
    size = np.abs(np.asarray(x, np.float64))
    if case.operation.upstream:
        size = (size / divisor).sum((1, 2), keepdims=True)
    else:
        size = size.sum((1, 2), keepdims=True) / divisor
    n = 4.0 * (case["h"] + case["w"]) + 7
    return Terms(lambda: np.full(terms.S.shape, n), np.broadcast_to(size, terms.S.shape).copy())
