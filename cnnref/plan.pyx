"""Which kernel serves which shape, told to Python callers: what the predicates of ``kernels/conv/select.pxd`` come to.

A kernel is named by its file, and by its variant where that has several: ``gemm/micro_kernel:tail`` is the tail of
``cnnref/kernels/gemm/micro_kernel.pxd``.
"""

cimport numpy as cnp

from cnnref.checks.arrays cimport integer
from cnnref.checks.conv cimport check_conv_forward
from cnnref.checks.fields cimport asked
from cnnref.checks.hyper cimport Window, outputs
from cnnref.checks.pool_affine cimport check_affine_forward, check_pool_forward
from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES
from cnnref.kernels.base.register_block cimport lanes, panel_width, block_rows, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.correlations cimport (
    Shape,
    adjoining,
    forward_part,
    forward_plan,
    joined,
    phase_part,
    product_plan,
)
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, Frame, alike, frame_of, mixed, taps_of
from cnnref.kernels.conv.select cimport (
    FEW_CHANNELS_IN,
    ONE_CHANNEL_OUT,
    PREFETCHED,
    SHUFFLED,
    SLIDING,
    UNPACKED,
    Kernel,
    block_taps,
    depthwise_kernel,
    depthwise_wgrad_kernel,
    exchanged,
    has_half_vector,
    in_patches,
    in_sample_pairs,
    is_planar,
    neighbours,
    panel_of_sums,
    phases_together,
    planar_kernel,
    prefetches,
    small_groups,
    sum_width,
    unpacked,
    wgrad_kernel,
)
from cnnref.kernels.conv.stride_phase cimport phase, phases
from cnnref.kernels.gemm.border cimport by_samples
from cnnref.kernels.gemm.micro_kernel cimport PAIRED, ROWS_OF_POINTER
from cnnref.kernels.planar.deinterleave cimport planes_of
from cnnref.kernels.wgrad.blocking cimport exchange_plan

from collections.abc import Mapping

import numpy as np

cnp.import_array()

cdef enum:
    MOST_PARTS = 16

cdef double _nothing = 0


cdef str tile_kernel(int width, Py_ssize_t rows, bint even, real kind):
    """The micro-kernel that `micro_kernel` runs for so many rows, evenly spaced or not, of a panel of that width."""
    cdef int vector = lanes(kind)
    cdef bint wide = CNNREF_VECTOR_BYTES == 64
    if width == widest(kind) and 1 < rows <= 3 or wide and width == 4 * vector and rows == 4:
        return "gemm/micro_kernel:tail"
    if wide and width < widest(kind) and rows == block_rows(width, kind) and even:
        return "gemm/micro_kernel:strided"
    if wide and width == 2 * vector and 1 <= rows <= 4:
        return "gemm/micro_kernel:tail"
    return "gemm/micro_kernel"


cdef Py_ssize_t longest(
    Py_ssize_t count, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t window, Py_ssize_t stride, Py_ssize_t dilation
) noexcept:
    """The longest run of outputs on an axis whose windows the border cuts off alike."""
    cdef Py_ssize_t place = 0, end, most = 0, first, last
    while place < count:
        end = alike(place, count, before, extent, window, stride, dilation, &first, &last)
        most = max(most, end - place)
        place = end
    return most


cdef str gemm_kernel(const Correlation* plan, real kind):
    """The micro-kernel of the first columns of the pixels inside the image, on one thread."""
    cdef int width = panel_width(plan.columns, kind)
    cdef Py_ssize_t down = longest(
        plan.n_H, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h
    )
    cdef Py_ssize_t across = longest(
        plan.n_W, plan.left, plan.width, plan.window_w, plan.stride_w, plan.dilation_w
    )
    cdef Py_ssize_t pixels = plan.samples * down * across
    # Fours of pixels are neighbours in a line, or lines follow one another without a gap.
    cdef bint even = (
        across % ROWS_OF_POINTER == 0 or plan.samples * down == 1 or by_samples(plan, plan.samples, across)
        or plan.samples == 1 and plan.stride_h * plan.width == across * plan.stride_w
    )
    if has_half_vector(width, plan.columns, kind) and pixels >= PAIRED:
        return "gemm/micro_kernel:half_vector"
    return tile_kernel(width, min(pixels, <Py_ssize_t>block_rows(width, kind)), even, kind)


cdef str parts_kernel(const ConvPart* parts, Py_ssize_t count, bint whole, real kind):
    """The micro-kernel of correlations that are taken together where they can be; of the one with most taps where not."""
    cdef const ConvPart* part = parts
    cdef const Correlation* plan
    cdef Frame frame = frame_of(parts, count)
    cdef Py_ssize_t i, width
    cdef Kernel kernel
    cdef bint together = is_planar(parts, count, kind)
    for i in range(count):
        if taps_of(&parts[i].plan) > taps_of(&part.plan):
            part = parts + i
    plan = &part.plan
    if whole:
        width = panel_width(plan.columns, kind)
        kernel = depthwise_kernel(plan, 0, min(width, plan.columns), width, plan.n_W, kind)
        return "depthwise/micro_kernel" + (
            ":grouped" if kernel == SHUFFLED else "_sliding" if kernel == SLIDING else ""
        )
    if not together:
        frame = frame_of(part, 1)
    if together or is_planar(part, 1, kind):
        kernel = planar_kernel(plan, min(planes_of(plan, &frame, kind).rows, plan.n_H), kind)
        return "planar/micro_kernel" + (
            "_few_channels_in" if kernel == FEW_CHANNELS_IN else "_one_channel_out" if kernel == ONE_CHANNEL_OUT else ""
        )
    return gemm_kernel(plan, kind)


cdef str forward_kernel(const Shape* s, real kind):
    """The kernel of `forward`."""
    cdef bint whole = small_groups(s.groups, s.n_C // s.groups, s.n_C_prev // s.groups, kind)
    cdef ConvPart part = forward_part(s, whole)
    return parts_kernel(&part, 1, whole, kind)


cdef str input_kernel(const Shape* s, bint biased, real kind):
    """The kernel of `backward_input`, with biases or without."""
    cdef ConvPart parts[MOST_PARTS]
    cdef bint whole = small_groups(s.groups, s.n_C_prev // s.groups, s.n_C // s.groups, kind)
    cdef bint together = whole or phases_together(s.n_C_prev // s.groups)
    cdef Py_ssize_t columns = 1 if joined(s, biased) else phases(&s.w), number, count = phases(&s.h) * columns
    if joined(s, biased) and adjoining(&s.h, s.n_H):
        parts[0] = phase_part(s, whole, phase(&s.h, 0), phase(&s.w, 0), False, True)
        if in_patches(parts, s.h.f, kind):
            return "gemm/patch_scatter"
    together = together and count > 1
    count = min(count, <Py_ssize_t>MOST_PARTS) if together else 1  # the first phase alone has as many taps as any
    for number in range(count):
        parts[number] = phase_part(
            s, whole, phase(&s.h, number // columns), phase(&s.w, number % columns), biased, together
        )
    return parts_kernel(parts, count, whole, kind)


cdef str sums_kernel(Correlation plan, bint gathered, real kind):
    """The kernel of `wgrad` on one thread, for the images of one group that are `gathered` or not."""
    cdef Py_ssize_t taps = taps_of(&plan), width, rows
    cdef Kernel kernel
    if not mixed(&plan):
        width = panel_of_sums(&plan, plan.columns, kind)
        kernel = depthwise_wgrad_kernel(&plan, min(width, plan.columns), width, kind)
        if kernel == SHUFFLED:
            return "depthwise/wgrad_micro_kernel:grouped"
        return "depthwise/wgrad_micro_kernel" + ("_sliding" if kernel == SLIDING else "")
    if gathered:
        plan.image_step, plan.pixel_step = plan.channels, plan.columns
    if in_sample_pairs(&plan, kind):
        return "wgrad/micro_kernel_sample_pairs"
    if exchanged(&plan, taps, kind):
        rows = plan.columns
        plan = exchange_plan(&plan, taps)
        taps = rows
    width = sum_width(&plan, taps, plan.columns, kind)
    rows = min(min(taps, <Py_ssize_t>block_rows(<int>width, kind)), block_taps(&plan))
    kernel = wgrad_kernel(unpacked(&plan, taps, kind), prefetches(&plan), width, rows, kind)
    if kernel == UNPACKED:
        return "gemm/micro_kernel:strided"
    if kernel == PREFETCHED:
        return "gemm/micro_kernel:prefetching"
    return tile_kernel(<int>width, rows, rows <= neighbours(&plan), kind)


cdef str filters_kernel(const Shape* s, real kind):
    """The kernel of `backward_filters`."""
    cdef bint whole = small_groups(s.groups, s.n_C // s.groups, s.n_C_prev // s.groups, kind)
    return sums_kernel(forward_plan(s, whole), s.groups > 1 and s.h.f * s.w.f > 1, kind)


cdef object array_of(str name, object shape, tuple axes, bint is_single):
    """An array of that shape for the checks of arguments, which read no values: there is no memory behind it."""
    cdef cnp.npy_intp extents[4]
    cdef int axis
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"kernel_for: {name} must be a tuple of integers, got {type(shape).__name__}")
    if len(shape) != len(axes):
        raise ValueError(f"kernel_for: {name} must have {len(axes)} axes ({', '.join(axes)}), got {shape!r}")
    for axis in range(len(axes)):
        extents[axis] = integer("kernel_for", f"{name}[{axis}]", shape[axis], 0)
    return cnp.PyArray_SimpleNewFromData(
        len(axes), extents, cnp.NPY_FLOAT if is_single else cnp.NPY_DOUBLE, &_nothing
    )


cdef bint in_single(object dtype) except -1:
    """Whether arrays of `dtype` are computed in float32."""
    try:
        given = np.dtype(dtype)
    except TypeError:
        given = None
    if given is None or given.kind not in "biuf" and given.name != "bfloat16":
        raise TypeError(f"kernel_for: dtype must be one of real numbers, got {dtype!r}")
    return given.name in ("float32", "float16", "bfloat16")


cdef dict conv_kernels(str function, object a, object w, object hparameters, real kind):
    """The kernels of a convolution or its transpose."""
    cdef Window window
    cdef Py_ssize_t groups = 1
    cdef bint transpose = function.startswith("conv_transpose")
    cdef Shape s
    columns = w.shape[3]
    if transpose:
        given = hparameters.get("groups", 1) if isinstance(hparameters, Mapping) else 1
        columns = w.shape[2] * (given if type(given) is int and 0 < given < 2**31 else 1)
    b = np.broadcast_to(a.dtype.type(0), (1, 1, 1, columns))
    check_conv_forward(function.replace("backward", "forward"), transpose, a, w, b, hparameters, &window, &groups)
    if transpose:
        s.n_C_prev, s.n_C, s.n_H, s.n_W = columns, a.shape[3], a.shape[1], a.shape[2]
    else:
        s.n_C_prev, s.n_C, s.n_H, s.n_W = a.shape[3], columns, outputs(&window.h), outputs(&window.w)
    s.m, s.h, s.w, s.groups = a.shape[0], window.h, window.w, groups
    if function == "conv_forward":
        return {"Z": forward_kernel(&s, kind)}
    if function == "conv_transpose_forward":
        return {"Z": input_kernel(&s, True, kind)}
    return {
        "dA_prev": forward_kernel(&s, kind) if transpose else input_kernel(&s, False, kind),
        "dW": filters_kernel(&s, kind),
    }


cdef dict affine_kernels(str function, object a, object w, real kind):
    """The kernels of the affine layer."""
    cdef Correlation plan = product_plan(a.shape[0], w.shape[0], w.shape[1]), back
    check_affine_forward(a, w, np.broadcast_to(a.dtype.type(0), (1, w.shape[1])))
    if function == "affine_forward":
        return {"Z": gemm_kernel(&plan, kind)}
    back = product_plan(a.shape[0], w.shape[1], w.shape[0])
    return {"dA_prev": gemm_kernel(&back, kind), "dW": sums_kernel(plan, False, kind)}


def kernel_for(function, A_shape, W_shape=None, hparameters=None, dtype="float32", *, mode="max", **keywords):
    """Which kernel computes a function's outputs for arrays of some shape, in this process.

    For reading the sources, for tests and for benchmarks: the names are those of files in ``cnnref/kernels``, and another
    instruction set or another version may have other ones. No result depends on what it says.

    Parameters
    ----------
    function : str
        ``conv_forward``, ``conv_backward``, ``conv_transpose_forward``, ``conv_transpose_backward``,
        ``affine_forward``, ``affine_backward``, ``pool_forward`` or ``pool_backward``: those for which there are
        several.
    A_shape : tuple of int
        The shape of `A_prev`.
    W_shape : tuple of int, optional
        The shape of `W`; pooling has none.
    hparameters : mapping, optional
        As the function takes them; the affine layer has none.
    dtype : dtype_like, optional
        Of all arrays. Half is computed in float32, integers in float64.
    mode : {"max", "average"}, optional
        Of pooling.
    **keywords
        The keys of `hparameters` one by one, in its place.

    Returns
    -------
    dict of str to str
        The kernel of each output that one computes, by its name: of `Z`, `A`, `dA_prev`, `dW` (`db` comes with `dW`).
        It is that of most of the output, on one thread and for filters that are finite: what is left at the ends of
        rows and columns and along the border of images goes to others.

    Raises
    ------
    ValueError
        If `function` is none of these, or the function itself would refuse such arrays.
    TypeError
        If an argument has the wrong type.

    Examples
    --------
    >>> sorted(cnnref.kernel_for("pool_backward", (8, 28, 28, 16), f=2, stride=2).items())
    [('dA_prev', 'pool/backward')]
    """
    if not isinstance(function, str):
        raise TypeError(f"kernel_for: function must be a string, got {type(function).__name__}")
    if function not in _FUNCTIONS:
        raise ValueError(f"kernel_for: function must be one of {', '.join(_FUNCTIONS)}, got {function!r}")
    cdef bint is_single = in_single(dtype)
    if keywords:
        hparameters = asked("kernel_for", hparameters, keywords, "stride=1, pad=0")
    layer = function.rpartition("_")[0]
    if layer == "affine":
        if hparameters is not None:
            raise ValueError(f"kernel_for: hparameters must be None for {function}, got {hparameters!r}")
        a = array_of("A_shape", A_shape, ("m", "n_prev"), is_single)
        w = array_of("W_shape", W_shape, ("n_prev", "n"), is_single)
        return affine_kernels(function, a, w, <float>0) if is_single else affine_kernels(function, a, w, <double>0)
    a = array_of("A_shape", A_shape, ("m", "n_H_prev", "n_W_prev", "n_C_prev"), is_single)
    if layer == "pool":
        if W_shape is not None:
            raise ValueError(f"kernel_for: W_shape must be None for {function}, got {W_shape!r}")
        _, _, _, _, _, _, window = check_pool_forward(a, hparameters, mode)
        if function == "pool_forward":
            return {"A": "pool/forward" if window is None else "pool/general"}
        return {"dA_prev": "pool/backward" if window is None else "pool/general"}
    w = array_of("W_shape", W_shape, ("f_h", "f_w", "channels of a group", "filters"), is_single)
    if is_single:
        return conv_kernels(function, a, w, hparameters, <float>0)
    return conv_kernels(function, a, w, hparameters, <double>0)


_FUNCTIONS = tuple(
    f"{layer}_{way}" for layer in ("conv", "conv_transpose", "affine", "pool") for way in ("forward", "backward")
)
