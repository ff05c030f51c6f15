"""What a convolution is, and which kernel computes it."""
