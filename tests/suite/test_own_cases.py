"""The user's own cases: shapes and case lines in a file, tensors of a network in another."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.cli import main
from conformance.commands.own_cases import names_of, of_inputs, of_shapes
from conformance.commands.usage import UsageError
from conformance.generation import given
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS
from conformance.runs.options import Options, Shard
from conformance.runs.turns import FIRST, in_turn

EVERY = list(OPERATIONS)


def read(tmp_path, text, operations=EVERY, dtypes=("f32",)):
    path = tmp_path / "shapes.txt"
    path.write_text(text)
    return of_shapes(path, operations, list(dtypes), 0)


def lines(cases):
    """Each operation with its parameters, the families left out."""
    return list(dict.fromkeys(str(case).rsplit(":", 2)[0] for case in cases))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "conv2d: n=8 c=3 h=24 w=22 k=6 f=7 s=2 p=3  # the first layer",
            ["conv_forward:f32:m8h24w22c3_f7k6_s2p3", "conv_backward:f32:m8h24w22c3_f7k6_s2p3"],
        ),
        ("conv_forward_naive: n=2, c=3, h=8, w=9, k=4, f=3, pad=1", ["conv_forward:f32:m2h8w9c3_f3k4_s1p1"]),
        (
            "MaxPool2d: N=2 C=3 H=8 W=9 kernel_size=2",
            ["pool_forward:f32:m2h8w9c3_f2s2_max", "pool_backward:f32:m2h8w9c3_f2s2_max"],
        ),
        ("pool_forward: m=2 h=8 w=9 c=3 f=2 s=1 mode=avg", ["pool_forward:f32:m2h8w9c3_f2s1_average"]),
        (
            "Linear: batch=3 in_features=4 out_features=5",
            ["affine_forward:f32:m3i4o5", "affine_backward:f32:m3i4o5"],
        ),
        ("softmax: n=3 c=10", ["softmax:f32:m3n10", "softmax_backward:f32:m3n10"]),
        ("log_softmax: m=3 n=10", ["log_softmax:f32:m3n10", "log_softmax_backward:f32:m3n10"]),
        (
            "spatial_batchnorm_forward: n=4 c=3 h=5 w=6 eps=1e-5",
            [f"batch_norm_forward:f32:m4h5w6c3_{word}_eps1e-5" for word in ("training", "inference")],
        ),
        (
            "conv_forward: m=2 c=4 h=9 w=8 k=4 f=3x2 dilation=2 groups=2",
            ["conv_forward:f32:m2h9w8c4_f3x2k4_s1p0_d2_g2"],
        ),
        ("relu_backward:f32:m2h3w4c5:ties:4", ["relu_backward:f32:m2h3w4c5"]),
    ],
)  # fmt: skip
def test_a_shape_is_read_by_the_name_of_any_dialect(tmp_path, text, expected):
    assert lines(read(tmp_path, text)) == expected


def test_every_family_that_goes_with_a_shape_is_judged(tmp_path):
    for text in ("max_pool2d: n=2 c=3 h=8 w=9 f=2", "pool_forward:f32:m2h8w9c3_f2s2_max:ties:7"):
        cases = [case for case in read(tmp_path, text) if case.op == "pool_forward"]
        case = cases[0]
        suiting = {name for name in FAMILIES if FAMILIES[name].suits(case.replace(family=name))}
        assert {case.family for case in cases} == suiting
        assert len(cases) == len(suiting) > 10
    assert str(cases[0]) == text  # the line itself first
    assert {case.seed for case in cases} == {7}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("conv2d: n=8 c=3 h=224", "expected also w (width), f (filter or window size), k"),
        ("convolve: n=3", "'convolve' is no operation"),
        ("conv2d n=3", "is no operation"),
        ("conv2d: n=8 c=3 h=22 w=22 k=64 f=7 s=0", "s (the stride) is 0"),
        ("relu:f32:m2:ties:0", "'m2' does not read as"),
        ("relu: n=x c=3 h=4 w=4", "m is 'x', expected a number"),
        ("relu: n=2 m=2 c=3 h=4 w=4", "m is there twice"),
        ("relu: n=2 c=3 h=4 w=4 q=1", "relu has no 'q'; expected m (samples (batch))"),
        ("relu: n=2 c=3 h", "'h', expected KEY=VALUE"),
        ("pool_forward:f32:m2h9w7c3_f3s2_max:nix:4", "no data family 'nix'"),
        ("relu:f16:m2h3w4c5:ties:4", "dtype is f16, asked for are f32"),
        ("conv2d: n=8 c=3 h=99999999 w=224999 k=64 f=7", "GiB in all"),
        ("relu:f32:m2h3w4c5:undefined:4", "does not go with"),
        ("relu: n=-1 c=3 h=4 w=4", "does not read"),
        ("max_pool2d: n=2 c=3 h=4 w=4 f=2 mode=average", "max_pool2d is max"),
    ],
)
def test_a_bad_line_is_said_with_its_place(tmp_path, line, said):
    with pytest.raises(UsageError) as error:
        read(tmp_path, f"# first\n\n{line}\n")
    assert said in str(error.value)
    assert f"{tmp_path / 'shapes.txt'}, line 3: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"\0" * 100, b"a" * (2 << 20), pickle.dumps({"a": 1})]
)
def test_a_file_that_holds_no_shapes_ends_with_status_2(tmp_path, capsys, content):
    path = tmp_path / "shapes.txt"
    path.write_bytes(content)
    assert main(["run", "--impl", "numpy_loops", "--shapes", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert said.count("\n") == 1
    assert main(["run", "--shapes", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert main(["run", "--only-shapes", "--out", str(tmp_path / "out")]) == 2


def test_names_of_the_functions_of_a_file_are_those_of_the_operations():
    assert names_of("my_conv2d") == names_of("conv2d") == ("conv_forward", "conv_backward")
    assert names_of("softmax_loss") == names_of("CrossEntropyLoss")
    assert names_of("helper") == ()


OWN = ("relu:f32:m2h3w4c5:ties:4", "relu:f64:m2h3w4c5:ties:4", "relu:f32:m9h3w4c5:ties:4")


@pytest.mark.parametrize("only", [False, True])
def test_own_cases_are_beside_the_drawn_ones_or_instead(only):
    options = Options("x", ("relu", "softmax"), ("f32", "f64"), 60, 3, own=OWN, only=only)
    listed = [str(case) for case in options.generate()]
    drawn = [str(case) for case in Options("x", ("relu", "softmax"), ("f32", "f64"), 60, 3).generate()]
    assert sorted(listed) == sorted([*OWN, *([] if only else drawn)])
    assert options.sizes == ([2, 1] if only else [62, 61, 60, 60])
    for count in (1, 2, 3, 7):
        parts = [list(Shard(i, count).of(options.sizes, options.generate)) for i in range(1, count + 1)]
        assert sorted((n, str(c)) for part in parts for batch in part for n, c in batch) == list(
            enumerate(listed)
        )
        sizes = [sum(map(len, part)) for part in parts]
        assert sizes == [Shard(i, count).size(options.sizes) for i in range(1, count + 1)]


def test_a_run_with_a_clock_asks_every_operation_and_its_own_cases_first():
    options = Options("x", ("relu", "softmax"), ("f32", "f64"), 150, 3, own=OWN)
    listed = dict(enumerate(options.generate()))
    batches = list(in_turn(options, lambda: True))
    assert dict(numbered for batch in batches for numbered in batch) == listed
    assert sum(map(len, batches)) == len(listed)
    first = list(in_turn(options, lambda: False))
    assert [(batch[0][1].op, batch[0][1].dtype, len(batch)) for batch in first] == [
        (op, dtype, FIRST) for op in options.operations for dtype in options.dtypes
    ]
    assert {str(case) for _, case in first[0]} >= {OWN[0], OWN[2]}


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {
        "A_prev": rng.normal(size=(2, 8, 9, 3)).astype(np.float32),
        "W": rng.normal(size=(3, 3, 3, 4)).astype(np.float32),
        "b": rng.normal(size=4).astype(np.float32),
        "stride": 2,
        "pad": 1,
    }


def test_the_tensors_of_a_file_are_a_case_that_names_it(tmp_path, tensors):
    path = str(tmp_path / "a net:1.npz")
    np.savez(path, **tensors)
    f32, f64 = of_inputs(path, ["conv_forward"], ["f32", "f64"], named=True)
    assert str(f32) == f"conv_forward:f32:m2h8w9c3_f3k4_s2p1:file:{path}"
    assert Case.parse(str(f32)) == f32
    assert f32 != f64
    arrays = draw(f64)
    assert arrays["A_prev"].dtype == np.float64
    assert np.array_equal(arrays["A_prev"], tensors["A_prev"])
    assert np.array_equal(arrays["b"], tensors["b"].reshape(1, 1, 1, 4))
    small = draw(f32.replace(m=1, h=4))["A_prev"]  # what a smaller case has is a part of the file's
    assert np.array_equal(small, tensors["A_prev"][:1, :4])
    assert f32.replace(family="normal").file == ""
    other = f32.replace(seed=1)
    assert Case.parse(str(other)) == other
    assert np.array_equal(draw(other)["A_prev"], tensors["A_prev"][::-1])


def test_several_operations_are_named_in_the_file(tmp_path, tensors):
    path = str(tmp_path / "net.npz")
    image = tensors["A_prev"]
    np.savez(
        path,
        **{f"conv_forward/{name}": value for name, value in tensors.items()},
        **{"pool_forward/A_prev": image, "pool_forward/f": 2, "pool_forward/mode": "average"},
        **{"pool_forward/ceil_mode": True, "relu/Z": image},
        **{"cross_entropy_cost/AL": np.full((3, 4), 0.25), "cross_entropy_cost/Y": np.array([0, 3, 1])},
    )  # fmt: skip
    assert [str(case).partition(":file:")[0] for case in of_inputs(path, EVERY, ["f32"], named=False)] == [
        "conv_forward:f32:m2h8w9c3_f3k4_s2p1",
        "pool_forward:f32:m2h8w9c3_f2s2_average_ceil",
        "relu:f32:m2h8w9c3",
        "cross_entropy_cost:f32:m3n4",
    ]


def bomb(path):
    """An archive whose array says that it is far larger than it is."""
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Z.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"W": np.zeros((3, 3, 2, 4))}, "W is (3, 3, 2, 4), expected (3, 3, 3, 4)"),
        ({"A_prev": np.full((2, 8, 9, 3), np.nan)}, "A_prev[0, 0, 0, 0] is nan, expected finite numbers"),
        ({"A_prev": np.full((2, 8, 9, 3), 1e300)}, "expected finite numbers in f32"),
        ({"A_prev": np.zeros((2, 8, 9, 3), complex)}, "expected numbers"),
        ({"stride": 0}, "s (the stride) is 0"),
        ({"stride": "wide"}, "does not read"),
        ({"dilatation": 2}, "conv_forward has no 'dilatation'; expected A_prev, W, b"),
        ({"b": None}, "no array b; expected A_prev, W, b"),
        ({"A_prev": np.array([object()])}, "Python objects"),
        ({"conv_fwd/x": np.zeros(2)}, "'conv_fwd' is no operation"),
    ],
)
def test_what_is_wrong_with_a_file_of_tensors_is_said(tmp_path, tensors, change, said):
    path = str(tmp_path / "net.npz")
    np.savez(path, **{name: x for name, x in {**tensors, **change}.items() if x is not None})
    with pytest.raises(UsageError) as error:
        of_inputs(path, ["conv_forward"], ["f32"], named=True)
    assert said in str(error.value)
    assert f"--inputs {path}" in str(error.value)


def test_labels_are_held_against_the_classes(tmp_path):
    path = str(tmp_path / "net.npz")
    np.savez(path, AL=np.full((3, 4), 0.25), Y=np.array([0, 4, 1]))
    with pytest.raises(UsageError, match="Y has the label 4, expected 0 to 3"):
        of_inputs(path, ["cross_entropy_cost"], ["f32"], named=True)


def test_arrays_without_an_operation_need_one_that_is_asked_for(tmp_path, tensors):
    path = str(tmp_path / "net.npz")
    np.savez(path, **tensors)
    with pytest.raises(UsageError, match="is of no operation: name one with --ops"):
        of_inputs(path, EVERY, ["f32"], named=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", pickle.dumps({"A_prev": 1}), b"\x93NUMPY\x01\x00\xff\xff", b"x" * 1000, None],
    ids=["empty", "torn", "pickle", "array", "noise", "bomb"],
)
@pytest.mark.parametrize("suffix", given.SUFFIXES)
def test_hostile_files_of_tensors(tmp_path, capsys, content, suffix):
    path = tmp_path / f"net{suffix}"
    if content is None:
        bomb(path)
    else:
        path.write_bytes(content)
    out = str(tmp_path / "out")
    assert main(["run", "--impl", "numpy_loops", "--inputs", str(path), "--ops", "relu", "--out", out]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert said.count("\n") == 1
    assert "internal error" not in said


def test_no_pickle_is_read_and_no_pipe_is_waited_for(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "net.npz"
    np.savez(path, Z=np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="Python objects"):
        of_inputs(str(path), ["relu"], ["f32"], named=True)
    for name in ("/dev/zero.npz", str(tmp_path), "net.txt", "no\nsuch.npz", str(tmp_path / "missing.npz")):
        with pytest.raises(UsageError):
            of_inputs(name, ["relu"], ["f32"], named=True)


def test_without_the_library_a_file_of_it_is_refused_with_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"\0" * 20)
    monkeypatch.setattr(given, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs the package safetensors: pip install safetensors"):
        of_inputs(str(path), ["relu"], ["f32"], named=True)


def test_safetensors_are_read_by_its_library(tmp_path, tensors):
    library = pytest.importorskip("safetensors.numpy")
    path = str(tmp_path / "net.safetensors")
    image = tensors["A_prev"]
    library.save_file({"A_prev": image, "f": np.array(2)}, path, metadata={"mode": "average"})
    (case,) = of_inputs(path, ["pool_forward"], ["f32"], named=True)
    assert str(case) == f"pool_forward:f32:m2h8w9c3_f2s2_average:file:{path}"
    assert np.array_equal(draw(case)["A_prev"], image)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "0"], "expected 1s to 7 days"),
        (["--budget", "soon"], "expected 1s to 7 days"),
        (["--budget", "30s", "--shard", "1/2"], "--budget: does not go with --shard"),
        (["--budget", "30s", "--resume"], "--budget: does not go with --resume"),
        (["--fail-fast", "--shard", "1/2"], "--fail-fast: does not go with --shard"),
        (["--errors", "--format", "json"], "--errors: prints a table"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_options_that_do_not_go_together(words, said, capsys, tmp_path):
    try:
        status = main(["run", *words, "--out", str(tmp_path)])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """A baseline whose run had a case of its own."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "shapes.txt").write_text("relu: n=2 c=3 h=4 w=5\n")
    words = ["gate", "--impl", "numpy_loops", "--ops", "relu", "--dtype", "f32", "--cases", "4"]
    own = ["--shapes", str(folder / "shapes.txt"), "--only-shapes", "--out", str(folder / "out")]
    assert main([*words, *own, "--baseline", str(folder / "b.json"), "--update", "--quiet"]) == 0
    return folder


def test_a_baseline_keeps_the_cases_of_its_user(baseline, capsys):
    written = json.loads((baseline / "b.json").read_text())
    assert written["options"]["only"] is True
    assert len(written["options"]["own"]) > 5
    words = ["gate", "--baseline", str(baseline / "b.json"), "--out", str(baseline / "again")]
    assert main([*words, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["gate"] == {"baseline": str(baseline / "b.json"), "problems": []}
    assert told["cases"] == len(written["options"]["own"]) == told["passed"]
