"""A `ModelNew` compared with a `Model` of several operations, for which the suite has no oracle of its own.

`prepare` runs `Model` in a process that has ended before `answer` runs `ModelNew` in another; `pair`
compares.
"""
