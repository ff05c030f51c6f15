"""Sums of channels over a batch, and what is made of them."""
