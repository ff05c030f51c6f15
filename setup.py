"""Build the extensions: each operation module once for every instruction set, dispatched at import.

Environment
-----------
CNNREF_DEBUG=1
    Bounds checks on, optimisation low: for debugging.
CNNREF_OPENMP=0
    Build without OpenMP even where the compiler has it.
CNNREF_EXTENSIONS=0
    Leave the extensions out: for an editable install beside ones that `build_ext --inplace` has built in
    parallel.
CNNREF_CFLAGS, CNNREF_LDFLAGS
    Appended to every compiler and linker command (sanitizers, for example).
"""

import copy
import os
import platform
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("CNNREF_DEBUG", "0") == "1"
PACKAGE = Path("cnnref")

#: Modules that stand once: checks, threads, the probe of the processor.
SHARED = (
    "threads",
    "_processor",
    *sorted(f"checks.{path.stem}" for path in (PACKAGE / "checks").glob("*.pyx")),
    "kernels.base.nontemporal",
)
#: The public modules beside them have kernels: each is built once for each instruction set.
KERNELS = tuple(sorted({path.stem for path in PACKAGE.glob("*.pyx")} - {*SHARED}))
#: Modules of the suite: what it does for each element of each array and each output.
SUITE = (
    "cases.axis",
    "cases.window",
    "generation.random",
    "bounds.elements",
    "bounds.passes",
    "bounds.picked",
    "bounds.curves",
    "bounds.rows",
    "bounds.targets",
    "bounds.channels",
    "implementations.memory",
)

#: The one table of Cython directives.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "binding": True,
    "embedsignature": False,
    "freethreading_compatible": True,
}

# Every product is an explicit fma(); the compiler may neither fuse more nor fuse less, so that the bits
# are the same from every build. -fno-math-errno and -fno-trapping-math change no result: they let the
# compiler vectorise fma() and comparisons. The peel limit keeps loops over vector lanes (8 and more)
# whole until they are vectorised, while loops over tile rows (at most 7) are unrolled into registers;
# unroll-and-jam would take a tile of one row apart before that. A call of memcpy in place of the loop that
# stores a tile would force its sums into memory.
OPTIMISE = [
    "-O1" if DEBUG else "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "--param=max-completely-peel-times=7",
    "-fno-loop-unroll-and-jam",
    "-fno-tree-loop-distribute-patterns",
    "-Wno-attributes",  # a `cdef inline` in a .pxd that is told to stand apart: meant so
]

X86_64 = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma", "-mbmi2"],
    "avx512": [
        "-mavx2",
        "-mfma",
        "-mbmi2",
        "-mavx512f",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx512vl",
        "-mprefer-vector-width=512",
    ],
}


def compiles(flags: list[str], source: str = "int main(void) { return 0; }") -> bool:
    """Whether the C compiler takes `flags` and links `source`."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.c")
        path.write_text(source)
        command = [*compiler, "-Werror", *flags, str(path), "-o", str(Path(folder, "probe")), "-lm"]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def openmp_flags() -> list[str]:
    """The flag that turns OpenMP on, if it is wanted and the compiler has it."""
    source = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }"
    wanted = os.environ.get("CNNREF_OPENMP", "1") != "0"
    return ["-fopenmp"] if wanted and compiles(["-fopenmp"], source) else []


def instruction_sets() -> dict[str, list[str]]:
    """The instruction sets to build for, with their flags; one build where dispatch has no use."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {"baseline": []}
    return {name: flags for name, flags in X86_64.items() if compiles(flags)}


def extensions() -> list[Extension]:
    """The modules that stand once, and the kernels once for each instruction set."""
    optimise = [flag for flag in OPTIMISE if compiles([flag])]
    openmp = openmp_flags()
    compile_args = optimise + openmp + shlex.split(os.environ.get("CNNREF_CFLAGS", ""))
    link_args = openmp + shlex.split(os.environ.get("CNNREF_LDFLAGS", ""))
    depends = [str(path) for kind in ("*.pxd", "*.h") for path in PACKAGE.rglob(kind)]
    common = {
        "include_dirs": [numpy.get_include(), str(PACKAGE)],
        "define_macros": [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        "extra_link_args": link_args,
        "libraries": ["m"],
        "depends": depends,
    }
    suite_depends = [str(path) for kind in ("*.pxd", "*.h") for path in Path("conformance").rglob(kind)]
    suite = {**common, "depends": suite_depends}
    once = [f"cnnref.{name}" for name in SHARED] + [f"conformance.{name}" for name in SUITE]
    kernels = [f"cnnref.{name}" for name in KERNELS]
    translated = {
        extension.name: extension.sources
        for extension in cythonize(
            [Extension(name, [f"{name.replace('.', '/')}.pyx"]) for name in (*once, *kernels)],
            compiler_directives=DIRECTIVES,
        )
    }
    return [
        Extension(
            name,
            translated[name],
            extra_compile_args=compile_args,
            **(suite if name.startswith("conformance.") else common),
        )
        for name in once
    ] + [
        Extension(
            f"cnnref._{isa}.{name}",
            translated[f"cnnref.{name}"],
            extra_compile_args=compile_args + flags,
            **common,
        )
        for isa, flags in instruction_sets().items()
        for name in KERNELS
    ]


class BuildPerInstructionSet(build_ext):
    """Keep the objects of one source apart that is compiled for several instruction sets.

    What is installed goes without the debug information that Python's own flags ask for, five sixths of its
    size; a tree that is built in place, to work on, keeps it.
    """

    def finalize_options(self) -> None:
        """Build as many at a time as there are processors, unless told otherwise."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()
        if not (self.inplace or DEBUG) and compiles(["-g0"]):
            for extension in self.extensions:
                extension.extra_compile_args = ["-g0", *extension.extra_compile_args]

    def build_extension(self, ext: Extension) -> None:
        """Build one extension in a folder of its own."""
        # A copy, because several threads are in here at a time.
        command = copy.copy(self)
        command.build_temp = os.path.join(self.build_temp, ext.name.rpartition(".")[0])
        build_ext.build_extension(command, ext)


WANTED = os.environ.get("CNNREF_EXTENSIONS", "1") != "0"

setup(ext_modules=extensions() if WANTED else [], cmdclass={"build_ext": BuildPerInstructionSet})
