"""Gradients of filters: sums over the batch."""
