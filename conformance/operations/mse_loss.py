"""The mean squared error, and its gradient."""

import numpy as np

from conformance.operations.element_loss import pair

ENTRIES = pair(
    "mse_loss",
    lambda torch, case, t: torch.nn.functional.mse_loss(t["X"], t["T"]),
    lambda case, x, t: np.square(x - t),
    lambda case, x, t: 2 * (x - t),
    traits=("endless",),
    families=("ties", "nan", "endless", "magnitudes"),
)
