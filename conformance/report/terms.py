"""The words of a verdict, each in one sentence: tiers, statuses, states, figures.

The report, the documentation and ``conformance explain`` take them from here.
"""

from __future__ import annotations

#: How a result is judged.
TIERS = {
    "exact": "integer data whose every partial sum is exact, so the result is bit-equal whatever the order "
    "of summation.",
    "equal": "operations that only move or choose values: equal on any data, the sign of a zero aside.",
    "bound": "full-mantissa data against the a-priori bound on rounding, n u Σ|a||b| or its equivalent.",
    "statistical": "zero-mean data also against 8 u √(n+1) √Q, which a dropped term exceeds by far.",
    "measured": "of a ModelNew: against the rounding of Model, measured on Model; weaker than a bound.",
}

#: What came of a case or an output.
STATUSES = {
    "passed": "within the limit of its tier.",
    "failed": "outside, or a shape or type that cannot be read, an exception, a changed input.",
    "absent": "the module has no such function, or does not declare such an option, dtype or shape.",
    "refused": "the module says that it has no answer; others are asked in its place.",
}

#: In which state a run leaves an operation.
STATES = {
    "agrees": "all that was compared agrees, and it was enough; `agrees (square alone)` of what the module "
    "says it answers.",
    "compared": "a ModelNew of several operations agrees with its Model, run in float64: weaker than "
    "agrees, as its limits are measured and not derived.",
    "disagrees": "something failed, or the answers have another dtype or shape (`faults`: said once for the "
    "module).",
    "too-little": "something was refused; or fewer than 12 outputs of a dtype were compared, if as many were "
    "asked for; or, from 200 cases on, fewer than nine tenths of the faults would have been caught.",
    "absent": "the module has no such function.",
}

#: What arrays are stored in.
DTYPES = {
    "f32": "float32: of 24 binary digits, added up in float32 or wider.",
    "f64": "float64: of 53 binary digits.",
    "f16": "float16: of 11 binary digits, up to 65,504; computed in float32 and rounded once, at the end. It "
    "is asked for by `--dtype f16` of a module that has it in `dtypes`.",
    "bf16": "bfloat16: of 8 binary digits, with the range of float32; computed in float32 and rounded once, "
    "at the end. It is asked for by `--dtype bf16` of a module that has it in `dtypes`, and needs ml_dtypes.",
}

#: How the code of an implementation is written.
DIALECTS = {
    "contract": "functions of NumPy arrays with the names of docs/contract.md, NHWC, called as they stand.",
    "torch": "functions of tensors with the names and signatures of torch.nn.functional, NCHW; a "
    "torch.autograd.Function counts through its apply.",
    "torch-modules": "classes with the names and constructor arguments of torch.nn, and a ModelNew beside "
    "its Model.",
    "cs231n": "NAME_forward(x, ..., param) -> (out, cache) and NAME_backward(dout, cache) of NumPy arrays, "
    "NCHW.",
    "layers": "classes with forward and backward that hold their parameters and gradients.",
    "jax": "functions of JAX arrays; gradients are those of jax.vjp where there is no backward function.",
}

#: What the figures of a table are.
FIGURES = {
    "ULP": "unit in the last place: the distance between neighbouring numbers of the output's dtype at the "
    "expected value.",
    "share of the bound": "the error divided by the largest that rounding can make; above 1 it fails. 1.00 "
    "that passes is just what rounding may do. Less than 1 in a row that fails: the statistical limit, which "
    "is narrower, was exceeded, or what failed left no number (an exception, NaN in another place).",
    "detectability": "the share of single dropped terms that a comparison would have seen.",
    "blind case": "one that would miss more than 5 % of them while no exact case of its kind covers it. A "
    "tier may see few terms, even none, without a blind case: exact cases of the same shapes see them.",
}
