"""Where a failure is wrong and in the smallest case: masks, pictures, Jacobians, identities, scripts."""
