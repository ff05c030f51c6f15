"""Where windows read: each short cut against the indices themselves."""

import pickle
from itertools import product

import pytest

from conformance.cases.axis import Axis
from conformance.cases.case import Case
from conformance.cases.window import possible, window_of


def test_what_is_read_is_what_the_indices_say():
    seen = set()
    for n, f, s, d, before, after in product((1, 2, 5), (1, 2, 3), (1, 2, 4), (1, 3), (0, 1, 4), (0, 2)):
        room = n + before + after - (d * (f - 1) + 1)
        if room < 0:
            continue
        axis = Axis(n, f, s, d, before, after, room // s + 1)
        inside = axis.inside()
        assert axis.all_taps_read() == inside.any(0).all(), axis
        assert axis.all_outputs_read() == inside.any(1).all(), axis
        seen.add((axis.all_taps_read(), axis.all_outputs_read()))
        for output, reads in enumerate(axis.reads()):
            for element in range(-1, n + 1):
                taps = [tap for tap, read in enumerate(reads) if read == element]
                assert axis.tap(output, element) == (taps[0] if taps else None), axis
    assert len(seen) == 4  # neither, one, the other, both


def test_windows_compare_by_their_fields_and_travel():
    window = window_of(Case.parse("conv_forward:f32:m2h9w7c4_f3x5k8_s2x1p1.2.0.1_d2x1_g4:normal:17"))
    assert (window.rows, window.columns) == (Axis(9, 3, 2, 2, 1, 2, 4), Axis(7, 5, 1, 1, 0, 1, 4))
    assert pickle.loads(pickle.dumps(window)) == window
    assert hash(window.but(s=(2, 1))) == hash(window)
    for name in window.rows.fields():
        other = window.but(**{name: (window.rows.fields()[name] + 1, window.columns.fields()[name])})
        assert other != window, name
        assert other.columns == window.columns, name
    assert window != (window.rows, window.columns)
    assert repr(window.rows) == "Axis(n=9, f=3, s=2, d=2, before=1, after=2, outputs=4)"


def test_a_stride_of_zero_is_an_error_and_no_crash():
    with pytest.raises(ZeroDivisionError):
        possible(Case.parse("conv_forward:f32:m2h9w7c4_f3k8_s0p1:normal:17"))
