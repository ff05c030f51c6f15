"""What came of an output: compared with the oracle's within its bound, and written down as a record."""
