"""What `ci/bench` runs: cnnref beside PyTorch and other peers, row by row.

- ``layers``: the rows, the aims, and what limits the rows that stay below them
- ``cost``: operations, bytes and allowed memory of a row; ``inputs``: its arrays
- ``peers``: one file each, a row becomes a call; ``worker``: a peer in a process of its own
- ``measure``: alternation and medians; ``accuracy``: float32 error; ``peak``: what the machine can do
- ``growth``: time against batch, image size and channels
- ``summary``, ``table``, ``chart``: ratios against the aims, bench.md, bench.svg
- ``listing``, ``page``: bench-rows.csv and bench.html, every row
"""
