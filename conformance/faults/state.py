"""Faults that one call cannot show: what is kept between calls, shared memory, layouts, dtypes of labels.

There is no wrong output to compute for them: `verdict.looks` finds them. Identifiers are published and never
change.
"""

from __future__ import annotations

from typing import NamedTuple

from conformance.cases.script import FORMS

#: What is said of each, in one sentence.
STATE: dict[str, str] = {
    "depends-on-earlier-calls": "The answer depends on earlier calls: in a fresh process it is right.",
    "result-kept-by-shape": "An earlier call's result is given again to other values of the same shape.",
    "result-kept-by-memory": "An earlier call's result is given again for other values in the same memory.",
    "result-overwritten-later": "A later call writes into a result that was returned before.",
    "option-kept-between-calls": "After a call that differs in one option alone, the answer is wrong.",
    "wrong-after-many-calls": "After a hundred other calls the answer is wrong.",
    "layers-not-independent": "Two layers whose calls are interleaved disturb each other.",
    "cache-used-up": "A second gradient from the same cache is another one.",
    "cache-follows-hyperparameters": "The cache holds the caller's hyperparameters and changes with them.",
    "hyperparameters-changed": "The call changes the caller's hyperparameters.",
    "output-sometimes-its-input": "For some values the output is the input's own memory: who writes into it "
    "changes the input.",
    "nondeterministic": "Called again on the same arrays, it gives other bits, by chance.",
    "nondeterministic-among-callers": "Called by several threads at once, it gives other bits than alone.",
    "wrong-by-thread-count": "With another number of threads the answer is wrong.",
    "wrong-when-compiled": "Compiled by its framework (`torch.compile`, `jax.jit`), it gives a wrong answer.",
    "wrong-label-dtype": "With labels of another integer dtype the answer is wrong.",
    **{f"wrong-{form}": f"For an array {words} the answer is wrong." for form, words in FORMS.items()},
}


class Shown(NamedTuple):
    """Calls that show a fault, and what to do about it."""

    calls: tuple[str, ...]
    remedy: str


_KEPT = Shown(
    ("first = f(x)", "f(y)                      # other values of the same shape", "f(x)  !=  first"),
    "Keep nothing between calls that is not decided by all of the arguments: buffers, results, options.",
)
_ADDRESS = Shown(
    ("f(x)", "x[...] = y                # other values in the same memory", "f(x)  is  f of the old values"),
    "Decide by values, shape and options what is computed anew, never by an address or `id`.",
)
_OWN_CACHE = Shown(
    (
        "Z1, cache1 = forward(x1)",
        "Z2, cache2 = forward(x2)",
        "backward(dZ2, cache2)",
        "backward(dZ1, cache1)     # as if it were x2's, or used up",
    ),
    "Keep in the cache itself all that the gradient needs, and change nothing of it there.",
)
_THREADS = Shown(
    ("with ThreadPoolExecutor() as pool:", "    list(pool.map(f, [x] * 1000))   # other bits than f(x)"),
    "Give each call, and each thread, memory of its own; add up in an order that no thread decides.",
)

#: What shows each of them, in a few lines.
SHOWN: dict[str, Shown] = {
    "depends-on-earlier-calls": _KEPT,
    "result-kept-by-shape": _KEPT,
    "option-kept-between-calls": _KEPT,
    "wrong-after-many-calls": _KEPT,
    "result-kept-by-memory": _ADDRESS,
    "result-overwritten-later": Shown(
        ("first = f(x)", "kept = first.copy()", "f(y)", "first  !=  kept"),
        "Return memory that is new for each call: a copy, where a buffer is used again.",
    ),
    "layers-not-independent": _OWN_CACHE,
    "cache-used-up": _OWN_CACHE,
    "cache-follows-hyperparameters": Shown(
        (
            'hparameters = {"stride": 1, "pad": 1}',
            "Z, cache = conv_forward(A_prev, W, b, hparameters)",
            'hparameters["stride"] = 2  # for the next layer',
            "conv_backward(dZ, cache)  # takes the stride 2",
        ),
        "Put a copy into the cache: dict(hparameters), or the numbers themselves.",
    ),
    "hyperparameters-changed": Shown(
        (
            'hparameters = {"stride": 1, "pad": 1}',
            "conv_forward(A_prev, W, b, hparameters)",
            'hparameters  !=  {"stride": 1, "pad": 1}',
        ),
        "Read from the mapping and never write into it: no `pop`, no `setdefault`.",
    ),
    "output-sometimes-its-input": Shown(
        ("A, cache = relu(Z)        # nothing negative in Z: A is Z", "A += 1                    # so is Z"),
        "Return a copy, whatever the values are.",
    ),
    "nondeterministic": Shown(
        ("first = f(x)", "f(x)  !=  first            # now and then"),
        "Look for memory that is read before it is written, for threads that add into one place, and for "
        "sums whose order the number of threads or a timer decides.",
    ),
    "nondeterministic-among-callers": _THREADS,
    "wrong-by-thread-count": Shown(
        ("OMP_NUM_THREADS=1 python example.py", "OMP_NUM_THREADS=8 python example.py   # another answer"),
        _THREADS.remedy,
    ),
    "wrong-when-compiled": Shown(
        ("f(x)  !=  torch.compile(f)(x)",),
        "Keep Python values that decide what is computed out of what is traced, or make them arguments; in "
        "an autograd function save tensors with `save_for_backward`, not on `ctx`.",
    ),
    "wrong-label-dtype": Shown(
        ("cross_entropy_cost(AL, Y.astype(np.uint8))  !=  cross_entropy_cost(AL, Y.astype(np.int64))",),
        "Convert the labels to one integer type first: Y.astype(np.int64).",
    ),
    **{
        f"wrong-{form}": Shown((f"f(x)  !=  f(plain)  # the same values; x is an array {words}",), remedy)
        for form, words in FORMS.items()
        for remedy in (
            "Go by the strides of the array, or copy it first: x = np.ascontiguousarray(x); if it is of the "
            "other byte order, x.astype(x.dtype.newbyteorder('=')).",
        )
    },
}
