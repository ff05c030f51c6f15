"""Build against the `.pxd` files of the installed cnnref."""

from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

import cnnref

# -ffp-contract=off: the compiler must not fuse what the source keeps apart, or bits differ between builds.
swish = Extension(
    "swish",
    ["swish.pyx"],
    include_dirs=[numpy.get_include(), str(Path(cnnref.__file__).parent)],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    extra_compile_args=["-O3", "-ffp-contract=off", "-fno-math-errno", "-fopenmp"],
    extra_link_args=["-fopenmp"],
    libraries=["m"],
)
setup(ext_modules=cythonize([swish], language_level=3))
