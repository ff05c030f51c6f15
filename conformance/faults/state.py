"""Faults that one call cannot show: what is kept between calls, shared memory, layouts, dtypes of labels.

There is no wrong output to compute for them: `verdict.looks` finds them. Identifiers are published and never
change.
"""

from __future__ import annotations

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
