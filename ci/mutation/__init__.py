"""Mutants of the Cython sources: made, built together, judged and counted."""
