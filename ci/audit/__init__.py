"""The audit of the bounds: kernels that are right in unusual ways, and errors that must be seen."""
