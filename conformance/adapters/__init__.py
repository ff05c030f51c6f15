"""Implementations to test or to compare with, one small module each.

An adapter is a module with some of the contract's functions under their names; ``--impl`` takes its
short name (``numpy_loops``) or its full one (``conformance.adapters.numpy_loops``).
"""
