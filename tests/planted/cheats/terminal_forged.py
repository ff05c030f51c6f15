"""Fails with a text that moves the cursor, to write another verdict over its own."""

dialect = "contract"


def relu(Z):
    raise ValueError("\x1b[2K\x1b[1A\rrelu: 200 of 200 passed\x9b0m\x07")
