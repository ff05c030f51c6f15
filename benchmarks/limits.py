"""What limits the rows that stay below 1.0, from whoever has looked into it."""

from __future__ import annotations

_KEPT = "; PyTorch reads what its forward pass kept"
_ONE_VECTOR = "a tile fetches 17 values for 16 multiplications"
_MEMORY = "nothing is computed: both read and write at the speed of the cache or memory that holds the arrays"
_EXP = (
    "the cache holds Z, so an exponential and a division are computed for each element: 7 cycles for 16"
    " float32, 8 for 8 float64, in the second cache, about what reading and writing the third takes" + _KEPT
)

#: The reason, by how the name of a row begins.
LIMITS: dict[str, str] = {
    "conv_single_step/window": "one chain of 25,088 dependent multiply-adds, 4 cycles each: 23 us at 4.4 GHz",
    "conv_forward/resnet-5": "PyTorch's filters are packed before the clock starts, ours in every call,"
    " for 196 pixels only",
    "global_average_pool_forward/": "sums in double for both dtypes, in an order that the shape fixes:"
    " each vector of float32 is two of sums",
    "conv_forward/mobilenet-112-dw32-s1": "13 MB go in and out for 14 million multiply-adds: both are as fast"
    " as memory is at the time, from 0.7 to 1.7 in six runs of one day",
    "conv_forward/mobilenet-112-dw96-s2": "19 MB are read and 5 written for 11 million multiply-adds, at"
    " half the speed of a copy: both vary with where the arrays lie, from 0.8 to 1.6 in five runs of one day",
    **{
        f"{row}-g32": f"16 or 32 filters a group fill one or two vectors: {_ONE_VECTOR}; gathering the groups"
        " and packing their filters take a sixth of the time"
        for row in ("conv_forward/resnext-14", "conv_forward/resnext-7", "conv_backward/resnext-14")
    },
    "conv_forward/mobilenet-112-1x1-32-16": "sums of 32 steps: a tile of 16 rows takes 272 cycles, then 16"
    " vectors are stored",
    "conv_forward/mobilenet-112-1x1-16-96": "sums of 16 steps: a tile takes 192 cycles, then 24 vectors are"
    " stored, 19 MB in all",
    "conv_forward/mobilenet-56-1x1-24-144": "sums of 24 steps: a tile takes 288 cycles, then 24 vectors are"
    " stored, 7 MB in all",
    "conv_forward/mobilenet-stem": "sums of 27 steps: a tile takes 216 cycles, then 16 vectors are stored",
    **{
        f"conv_forward/{network}-": "PyTorch runs at 80 to 100% of the FMA peak, its filters packed before"
        " the clock starts"
        for network in ("resnet", "mobilenet", "convnext", "vgg")
    },
    **{
        f"conv_backward/mobilenet-{layer}": "more bytes than multiply-adds, 9 to 48 MB of them: both are as"
        " fast as memory is at the time, from 0.5 to 2.4 in six runs of one day"
        for layer in ("112-dw96-s2", "56-dw144")
    },
    "conv_forward/mnist-2-f5": f"16 filters fill one vector: {_ONE_VECTOR}",
    "conv_transpose_forward/unet": "both run at 89% of the FMA peak",
    "conv_backward/resnet-4-3x3": "PyTorch's filters are packed before the clock starts, ours in every call",
    "sigmoid_backward/": _EXP,
    "tanh_backward/": _EXP,
    "softmax_backward/256x1000": "the cache holds X, so exponentials and their sum are computed again: 10"
    " cycles for 16 float32, 9 for 8 float64, in cache" + _KEPT,
    "batch_norm_backward/": "products and sums in double for both dtypes, in an order that the shape fixes;"
    " in training the gradient is then read again",
    "layer_norm_backward/": "all in double for both dtypes, in an order that the shape fixes: two vectors of"
    " it for one of float32; convnext-1 in float64 is as fast as memory",
    "layer_norm_forward/": "all in double for both dtypes: two vectors of it for one of float32",
    "batch_norm_forward/": "means and variances in double for both dtypes, each chunk read twice in cache;"
    " then the images are read again",
    **{
        f"{name}/": _MEMORY
        for name in (
            *("relu", "relu_backward", "leaky_relu", "leaky_relu_backward"),
            *("relu6", "relu6_backward", "hardtanh", "hardtanh_backward"),
            *("arr2col", "col2arr", "pad3d", "pad3d_backward"),
        )
    },
    "prelu/": "slopes are applied in runs of 64 elements, or of one pixel: 1.3 times what a leaky ReLU"
    " takes in cache",
    "pool_backward/mnist-1-max": "one visit, with quartiles on both sides of 1.0, when the time was up;"
    " measured alone 1.28",
    "pool_forward/vgg-4-max": "one visit, with quartiles 34% apart, when the time was up; measured alone"
    " 2.06",
    "softmax_cross_entropy/": "the probabilities that its gradient takes are computed here, PyTorch's in its"
    " backward pass",
    "affine_activation_backward/": "the gradient between the two steps is an array of its own",
}


_BY_HARDWARE = (
    "PyTorch multiplies bfloat16 by AVX512_BF16, two products an operation, in an order of its own; here"
    " every product is a float32 multiply-add in the documented order"
)

#: Of half rows.
HALF_LIMITS: dict[str, str] = {
    "conv_": _BY_HARDWARE,
    "affine_": _BY_HARDWARE,
    **{
        f"{name}_backward/": f"PyTorch is given {given}, rounded to half; the cache here holds the input:"
        " exp is taken again"
        for name, given in {
            "sigmoid": "the activation",
            "tanh": "the activation",
            "softmax": "the probabilities",
            "log_softmax": "the logarithms",
        }.items()
    },
    "batch_norm_": "sums in double in a defined order, two vectors of them for one of float32",
    "relu": "widened and narrowed in the nearest cache, as all functions of elements are",
    "leaky_relu": "widened and narrowed in the nearest cache, as all functions of elements are",
}


def reason(name: str) -> str:
    """What limits the row of this name; nothing where nobody has looked into it."""
    table = HALF_LIMITS if name.split("/")[2:3] in (["float16"], ["bfloat16"]) else LIMITS
    return next((text for start, text in table.items() if name.startswith(start)), "")
