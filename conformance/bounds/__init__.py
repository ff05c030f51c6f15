"""How far from the truth a correct implementation may be: one limit for each element of each output.

There is no tolerance in this suite. Three tiers, chosen by the operation and the data:

``equal``
    Operations that only choose, move or copy: nothing is rounded, so the answer is the oracle's.
``exact``
    Data for which every partial sum, in any order, is a number of the dtype (checked from
    ``sum|a||b|``, not assumed): nothing is rounded either.
``bound``, ``statistical``
    The a-priori error bound of the operation in the dtype; for zero-mean data also the far smaller
    limit that random rounding errors keep to.

`table.bounds` answers for a case. `arithmetic` holds the constants and the classes an implementation
may declare, `sums` the bounds of sums of products, `functions` those of exp, log and division,
`affine_activation` the two composed, `terms` the detectability.
"""

from conformance.bounds.arithmetic import Arithmetic, Bound

__all__ = ["Arithmetic", "Bound"]
