"""Convolutions with few outputs a pixel, vectorised along the image."""
