"""Convolutions in many small groups, vectorised over the channels of all of them."""
