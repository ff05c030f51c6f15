"""Kernels that are right in an unusual way pass, and fail where only a declaration makes them right."""

import numpy as np
import pytest

from ci.audit import elementwise, exponential, norms, rational, rows, sums, wrong
from ci.audit.__main__ import audited, every
from ci.audit.functions import LIBRARIES
from ci.audit.kernel import Kernel, Prepared, largest, seen
from conformance.bounds.arithmetic import IEEE, Arithmetic, accuracies_in
from conformance.cases.case import Case
from conformance.operations import OPERATIONS


@pytest.fixture(scope="module")
def kernels():
    """All but PyTorch's, whose adapter is loaded for the runs alone."""
    made = (elementwise, exponential, rational, rows, sums, norms)
    return [kernel for module in made for kernel in module.kernels()]


def named(kernels, op, part, declared=IEEE):
    """The kernels of an operation whose names have that part, under another declaration."""
    found = [Kernel(k.name, op, k.answer, declared) for k in kernels if k.op == op and part in k.name]
    assert found
    return found


def worst(kernels, line):
    case = Case.parse(line)
    return max(max(largest(kernel, case)) for kernel in kernels)


LINES = [
    ("softmax_cross_entropy_backward:f32:m34n7:magnitudes:960987232", "of logarithms"),
    ("softmax:f32:m34n5:magnitudes:508576810", "of logarithms"),
    ("softmax_cross_entropy_backward:f16:m2n4096:normal:0", "of logarithms"),
    ("silu_backward:f32:m3h9w12c16:magnitudes:664920372", "g s (1 + z (1 - s))"),
    ("gelu:f32:m4h6w7c16_tanh:magnitudes:726280010", "z sigmoid(2 t);"),
    ("gelu:f32:m4h6w7c16_tanh:magnitudes:726280010", "tanh as 1 - 2/(1 + exp)"),
    ("gelu:f32:m4h6w7c16_tanh:magnitudes:726280010", "by expm1(-2|z|)"),
    ("gelu:f32:m4h6w7c16_none:magnitudes:726280010", "0.5 z erfc(-z);"),
    ("gelu:f32:m2h1w2c2048_none:normal:0", "erf by A & S"),
    ("gelu_backward:f32:m4h13w8c3_tanh:magnitudes:558031147", "tanh: by sigmoid (relative)"),
    ("tanh:f32:m3h6w7c16:saturated:3", "by expm1(-2|z|)"),
    ("tanh_backward:f32:m3h6w7c16:saturated:3", "y by expm1(-2|z|)"),
    ("mish:f32:m1h1w1c17:magnitudes:5", "z (n - 1) / (n + 1)"),
    ("mish:f32:m1h1w1c65:magnitudes:5", "z (1 - 2 / (n + 1))"),
    ("mish:f32:m1h1w1c33:magnitudes:5", "z - 2 z / (q + 2)"),
    ("mish:f32:m1h1w1c65:magnitudes:5", "z tanh(-log sigmoid(-z))"),
    ("mish_backward:f32:m1h1w1c65:magnitudes:5", "t of n"),
    ("softplus:f32:m1h1w1c7:magnitudes:5", "-log sigmoid(-w)"),
    ("softsign:f32:m1h4w513c2:normal:77", "z times 1 / (1 + |z|)"),
    ("softsign:f32:m1h224w5c3:normal:77", "1 - 1 / (1 + |z|) beyond 1"),
    ("batch_norm_forward:f32:m3h6w7c16_training:normal:3", "shifted"),
    ("batch_norm_forward:f32:m3h6w7c16_training:magnitudes:3", "shifted"),
    ("batch_norm_backward:f16:m3h2w5c15_training:magnitudes:628214341", "two passes"),
    ("batch_norm_backward:bf16:m3h2w5c15_training:magnitudes:628214341", "two passes"),
]


@pytest.mark.parametrize(("line", "part"), LINES, ids=[f"{line} {part}" for line, part in LINES])
def test_a_right_form_passes_with_every_library(kernels, line, part):
    assert 0 < worst(named(kernels, line.partition(":")[0], part), line) <= 1


def test_a_formula_of_the_cache_that_the_suite_makes_passes_in_half():
    """A module without the forward function is handed statistics in float32, as the bound has them."""
    case = Case.parse("batch_norm_backward:f16:m3h2w5c15_training:magnitudes:628214341")
    cache = OPERATIONS["batch_norm_forward"].call.by_hand.fields
    prepared = Prepared(case)
    assert {cache[name](case, prepared.arrays).dtype.name for name in ("mean", "variance")} == {"float32"}

    def answer(case, a):
        x, g, gamma = (np.asarray(a[name], np.float64) for name in ("A_prev", "dA", "gamma"))
        mean, variance = (cache[n](case, prepared.arrays).astype(np.float64) for n in ("mean", "variance"))
        r, axes, count = 1 / np.sqrt(variance + 0.01), (0, 1, 2), x.size // x.shape[3]
        n = (x - mean) * r
        dbeta, dgamma = g.sum(axes, keepdims=True), (g * n).sum(axes, keepdims=True)
        return {
            "dA_prev": gamma * r * (g - dbeta / count - n * dgamma / count),
            "dgamma": dgamma,
            "dbeta": dbeta,
        }

    assert max(largest(Kernel("float64", case.op, answer), case)) <= 1


def test_the_oracle_uses_its_share_of_the_bound_of_float64():
    """float32's bound, in float64, is for two: what exp of a logarithm is off is half of it at most."""
    case = Case.parse("softmax_cross_entropy_backward:f64:m19n4:magnitudes:391437246")
    prepared = Prepared(case)
    X, t = np.asarray(prepared.arrays["X"], np.longdouble), np.eye(4)[prepared.arrays["Y"]]
    e = np.exp(X - X.max(1, keepdims=True))
    exact = (e / e.sum(1, keepdims=True) - t) / 19
    error = np.abs(prepared.expected["dX"] - exact)
    assert float((error / prepared.limits()["dX"].limit).max()) <= 0.5


DECLARED = [
    ("sigmoid:f32:m3h6w6c9:saturated:5", "1 / (1 + exp(-z)) (normal)", {"accuracy": {"sigmoid": "normal"}}),
    ("silu:f32:m3h6w6c9:saturated:5", "z / (1 + exp(-z)) (normal)", {"accuracy": {"silu": "normal"}}),
    ("log_softmax:f32:m4n33:overflow:5", "x - (max + log s)", {"accuracy": {"log_softmax": "absolute"}}),
    ("softmax:f32:m4n33:overflow:5", "of summed", {"accuracy": {"softmax": "absolute"}}),
    ("global_average_pool_forward:f32:m2h4w4c5:small:1", "running-mean", {"algorithm": "running-mean"}),
    (
        "pool_forward:f32:m2h9w9c5_f3s2_average:magnitudes:1",
        "integral-image",
        {"algorithm": "integral-image"},
    ),
]


@pytest.mark.parametrize(("line", "part", "declared"), DECLARED, ids=[line for line, *_ in DECLARED])
def test_what_is_right_by_a_declaration_passes_with_it_alone(line, part, declared, kernels):
    op = line.partition(":")[0]
    assert worst(named(kernels, op, part), line) > 1
    assert worst(named(kernels, op, part, Arithmetic.declared(**declared)), line) <= 1


@pytest.mark.parametrize("form", ["tanh", "exp2"])
def test_a_sigmoid_that_loses_digits_is_refused_under_every_accuracy(form):
    """docs/bounds.md says so: by tanh of z / 2, and by exp2 of a rounded product."""
    library = LIBRARIES[0]

    def answer(case, a):
        z = a["Z"]
        if form == "tanh":
            return {"A": (1 + library.tanh(z / 2)) / 2}
        e = np.exp2((-np.abs(z) * np.float32(np.log2(np.e))).astype(np.float64)).astype(np.float32)
        return {"A": np.where(z < 0, e, np.float32(1)) / (1 + e)}

    case = Case.parse("sigmoid:f32:m3h6w6c9:saturated:5")
    for accuracy in ({}, {"sigmoid": "normal"}):
        assert max(largest(Kernel(form, case.op, answer, Arithmetic.declared(accuracy=accuracy)), case)) > 1


@pytest.mark.parametrize("order", [sums.by_value, sums.ascending])
def test_the_statistical_limit_is_of_orders_that_do_not_depend_on_the_values(order):
    """3,186 terms: what is right in any order is told from what is right at random."""

    def answer(case, a):
        image = np.pad(a["A_prev"].astype(np.float64), ((0, 0), (3, 3), (3, 3), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(image, (7, 7), (1, 2))  # (m, h, w, c, f, f)
        terms = windows.transpose(4, 5, 3, 0, 1, 2)[..., None] * a["W"][:, :, :, None, None, None, :]
        bias = np.broadcast_to(a["b"], (1, *terms.shape[3:]))
        return {"Z": order(np.concatenate([bias, terms.reshape(-1, *terms.shape[3:])]), case.working_dtype)}

    case = Case.parse("conv_forward:f32:m1h9w9c65_f7k4_s1p3:normal:1")
    found = largest(Kernel("order", case.op, answer), case)
    assert 0 < found.bound <= 1
    assert (found.statistical > 1) == (order is sums.by_value)
    declared = Kernel("order", case.op, answer, Arithmetic.declared(order="data"))
    assert max(largest(declared, case)) <= 1


TAILS = [e for e in wrong.errors() if e.declared != IEEE]


@pytest.mark.parametrize("error", TAILS, ids=[f"{e.line} {e.name}" for e in TAILS])
def test_a_tail_cut_off_passes_undeclared_and_is_remarked_on(error):
    prepared = Prepared(Case.parse(f"{error.line}:1"))
    value = error.make(prepared)
    assert not seen(prepared, error.output, value)
    assert seen(prepared, error.output, value, error.declared)
    tails = prepared.limits()[error.output].tails
    assert (tails.held, tails.declared, tails.stricter) == ("absolute", False, ("relative",))


SEEN = [e for e in wrong.errors() if e.declared == IEEE and "conv" not in e.line]


@pytest.mark.parametrize("error", SEEN, ids=[f"{e.line} {e.output} {e.name}" for e in SEEN])
def test_an_error_is_seen(error):
    assert max(wrong.found(error, range(1))) == 1


def test_no_output_of_a_users_size_hides_a_thousandth():
    """But normalized images a thousand deviations from 0."""
    hiding = {}
    for line in wrong.SIZES:
        prepared = Prepared(Case.parse(f"{line}:1"))
        for output in prepared.case.operation.outputs:
            if wrong.smallest(prepared, output)[2] > 1e-3:
                hiding[line] = output
    assert set(hiding) == {"batch_norm_backward:f32:m8h28w28c4_training:offset"}


def test_the_audit_sees_a_bound_that_is_too_small(kernels):
    """Each room of kernels comes near its bound somewhere, and a wrong kernel passes nowhere."""
    case = Case.parse("tanh:f32:m2h5w7c9:normal:1")
    fine = named(kernels, "tanh", "by expm1(-2|z|); 4 ulp")
    off = [
        Kernel("off", "tanh", lambda c, a, k=k: {"A": k.answer(c, a)["A"] * np.float32(1 + 2e-6)})
        for k in fine
    ]
    assert 0.3 < max(row.shares.bound for row in audited(fine, [case]).values()) <= 1
    assert max(row.shares.bound for row in audited(off, [case]).values()) > 1


def test_every_operation_that_rounds_has_a_kernel():
    missing = {name for name, entry in OPERATIONS.items() if entry.bound} - {kernel.op for kernel in every()}
    assert missing == {"conv_single_step", "distribute_value"}  # one window, one number of another operation


def test_libraries_are_off_by_what_they_say():
    x = np.linspace(-3, 3, 4001, dtype=np.float32)
    for library in LIBRARIES:
        for function, exact in ((library.exp, np.exp), (library.tanh, np.tanh)):
            true = exact(x.astype(np.float64))
            off = np.abs(function(x) - true) / np.spacing(np.abs(true.astype(np.float32)))
            assert library.ulp - 0.6 < off.max() <= library.ulp + 0.51


def test_declarations_are_checked():
    for declared, message in (
        ({"accuracy": {"gelu": "exact"}}, "accuracy of gelu is 'exact', expected one of absolute, relative"),
        ({"accuracy": {"relu": "relative"}}, "accuracy names 'relu', expected some of .*tanh_backward"),
        ({"accuracy": "relative"}, "accuracy is {OPERATION: ACCURACY}, got a str"),
        ({"order": "sorted"}, "order = 'sorted' is not a class with a bound; expected one of shape, data"),
        ({"algorithm": "fft"}, "expected one of winograd, winograd-2x2, running-mean, integral-image"),
    ):
        with pytest.raises(ValueError, match=message):
            Arithmetic.declared(**declared)


def test_the_name_of_an_arithmetic_says_what_is_held():
    accuracy = {"tanh_backward": "relative", "gelu": "relative", "sigmoid": "normal"}
    held = Arithmetic.declared("tf32", None, accuracy, "data")
    assert held.name == "tf32; relative gelu, tanh_backward; normal sigmoid; sums ordered by value"
    assert accuracies_in(held.name) == accuracy
    assert accuracies_in(Arithmetic.declared().name) == {}
