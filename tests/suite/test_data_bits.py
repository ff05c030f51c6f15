"""The arrays of a case have the same bits everywhere."""

import hashlib

import pytest

from conformance.cases.case import FILE, Case
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES


def _digest(case: str) -> str:
    content = hashlib.sha256()
    for name, array in draw(Case.parse(case)).items():
        content.update(
            f"{name}{array.dtype.str}{array.shape}".encode()
            + array.astype(array.dtype.newbyteorder("<")).tobytes()
        )
    return content.hexdigest()[:16]


#: One case for each way of filling an array.
DIGESTS: dict[str, str] = {
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:small:7": "76ae919019636745",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:small:7": "9c9eaf3776742a64",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:wide-x:8": "4a6fc1941e7e0b6e",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:wide-x:8": "0f9bb5b347e59e90",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:wide-w:9": "9d33e5798a9ec234",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:wide-w:9": "6cdf7dad6d48d417",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:wide-g:10": "7c9c72891c8755f4",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:wide-g:10": "eb4bbf94a1434977",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:one-hot:11": "199a953c5eaad204",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:one-hot:11": "ecc1de5b25e1c86f",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:coordinates:12": "a61e64e1d66cf78f",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:coordinates:12": "15a03afec9420471",
    "pool_backward:f32:m2h5w4c3_f2s1_max:ties:13": "afe4cae7fafbdd63",
    "pool_backward:f64:m2h5w4c3_f2s1_max:ties:13": "2114e556bfeb2929",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:zeros:14": "6563a4ae349ad288",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:zeros:14": "8e0154384be03fd3",
    "pool_backward:f32:m2h5w4c3_f2s1_max:negative:15": "4a88c1d09e7742eb",
    "pool_backward:f64:m2h5w4c3_f2s1_max:negative:15": "d2b3249beecf106b",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:normal:16": "988e2cab27721d0a",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:normal:16": "bb903747d5402372",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:positive:17": "165836ac9262c3bf",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:positive:17": "ab688ad15d6195e2",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:magnitudes:18": "3dda0e825f82b66f",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:magnitudes:18": "fa8d106fa0248636",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:cancelling:19": "974d6244919b476c",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:cancelling:19": "96e0013866427661",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:subnormal:20": "4a8436f7f80efa48",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:subnormal:20": "bbcb67d86fec2e55",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:nan:21": "d484ba1b9cd4eb13",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:nan:21": "c1bb5748f2904ec3",
    "conv_backward:f32:m2h5w4c3_f2k6_s1p0:infinity:22": "1ace3f7a5771d25c",
    "conv_backward:f64:m2h5w4c3_f2k6_s1p0:infinity:22": "2ec43ab9bbab9840",
    "pool_backward:f32:m2h5w4c3_f2s1_max:lowest:23": "7ff178d391daf616",
    "pool_backward:f64:m2h5w4c3_f2s1_max:lowest:23": "eba078eddb4dc86d",
    "sigmoid:f32:m2h3w4c5:saturated:24": "7f7d9153f74abdfa",
    "sigmoid:f64:m2h3w4c5:saturated:24": "21b47e55b6ed6414",
    "affine_activation_backward:f32:m3i7o5_sigmoid:large:25": "4b46e9358e45be62",
    "affine_activation_backward:f64:m3i7o5_sigmoid:large:25": "f499517b3db26331",
    "softmax:f32:m4n9:overflow:26": "621845618c83967f",
    "softmax:f64:m4n9:overflow:26": "d56bd82c882d31d3",
    "softmax:f32:m4n9:constant:27": "c5488dd82782f654",
    "softmax:f64:m4n9:constant:27": "be12373d20d3af59",
    "softmax:f32:m4n9:masked:28": "d965469ef8ff6352",
    "softmax:f64:m4n9:masked:28": "b368f3d041532147",
    "cross_entropy_cost:f32:m4n9:probabilities:29": "685f7fce41328309",
    "cross_entropy_cost:f64:m4n9:probabilities:29": "49fc2b86b172a46a",
    "cross_entropy_cost:f32:m4n9:missing:30": "4d1ada1c2d43d2ab",
    "cross_entropy_cost:f64:m4n9:missing:30": "31c1149e76af518a",
    "cross_entropy_cost:f32:m4n9:tiny:31": "b88e1a416c89edef",
    "cross_entropy_cost:f64:m4n9:tiny:31": "8233fcaeab42378c",
    "cross_entropy_cost:f32:m4n9:certain:32": "fa0b9ba72fbf68a7",
    "cross_entropy_cost:f64:m4n9:certain:32": "f4b0735ef9328591",
    "cross_entropy_cost:f32:m4n9:impossible:33": "aec99c988859e744",
    "cross_entropy_cost:f64:m4n9:impossible:33": "4c12dea1ecaa3918",
    "batch_norm_backward:f32:m2h3w4c5_training:offset:34": "4010257080c5406f",
    "batch_norm_backward:f64:m2h3w4c5_training:offset:34": "3840a8f7365a0fc7",
    "batch_norm_backward:f32:m2h3w4c5_training:flat:35": "933a7ccc31c7cf84",
    "batch_norm_backward:f64:m2h3w4c5_training:flat:35": "d406eb097db78536",
    "pool_backward:f32:m2h5w4c3_f2s1_average:huge:36": "9bb8119a202d0f6f",
    "pool_backward:f64:m2h5w4c3_f2s1_average:huge:36": "d0e5e10e5d2aa43a",
    "tanh_backward:f32:m2h3w4c5:extremes:37": "91f2adc39f47eb10",
    "tanh_backward:f64:m2h3w4c5:extremes:37": "37b61be80701d7bf",
    "silu:f32:m2h3w4c5:endless:38": "fed403833e79ba26",
    "silu:f64:m2h3w4c5:endless:38": "92c7dfaef6d1fa9b",
    "softmax_backward:f32:m4n9:closed:39": "bbf54723de304b77",
    "softmax_backward:f64:m4n9:closed:39": "66386e4c5c07775b",
    "softmax:f32:m4n9:tails:40": "3c17db7542006794",
    "softmax:f64:m4n9:tails:40": "79b904da3ff66c82",
    "cross_entropy_cost:f32:m4n9:undefined:41": "e3864d537a1a823b",
    "cross_entropy_cost:f64:m4n9:undefined:41": "decffc7ccfac7731",
    "cross_entropy_cost:f32:m4n9_ignore3:all-ignored:42": "59bf84d6faa9a0d5",
    "cross_entropy_cost:f64:m4n9_ignore3:all-ignored:42": "801ee49c2fcfee61",
    "gelu_backward:f32:m2h3w4c5_tanh:powers:43": "7fd1ff8bdde65b20",
    "gelu_backward:f64:m2h3w4c5_tanh:powers:43": "7210e51c29a5dd69",
}


@pytest.mark.parametrize("case", DIGESTS)
def test_data_have_the_bits_they_had_on_another_machine(case):
    assert _digest(case) == DIGESTS[case]


def test_the_digests_cover_every_family():
    assert {Case.parse(case).family for case in DIGESTS} == set(FAMILIES) - {FILE}  # data of somebody else's
