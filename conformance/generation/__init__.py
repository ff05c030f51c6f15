"""Which cases a run has and with which values: families, fills, corners, the covering of options."""
