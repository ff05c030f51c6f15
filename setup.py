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
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

DEBUG = os.environ.get("CNNREF_DEBUG", "0") == "1"
PACKAGE = Path("cnnref")

#: Modules that stand once: checks, threads, the probe of the processor.
SHARED = (
    "threads",
    "_processor",
    *sorted(f"checks.{path.stem}" for path in (PACKAGE / "checks").glob("*.pyx")),
    "kernels.base.caches",
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
# compiler vectorise fma() and comparisons. A call of memcpy in place of the loop that stores a register block
# would force its sums into memory: gcc 12 then has 16 accesses of the stack for 8 multiply-adds. On aarch64
# it would load vectors too far ahead for its registers: 55 accesses for 98 multiply-adds, and none so.
OPTIMISE = [
    "-O1" if DEBUG else "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-tree-loop-distribute-patterns",
    # A scheduler that runs before registers are given out reads ahead what a register block needs: with it
    # clang 19 has 11 accesses of the stack for 12 multiply-adds, and convolutions took 2.4 times as long.
    "-fno-schedule-insns",
    "-mllvm -enable-misched=false",
    "-Wno-attributes",  # a `cdef inline` in a .pxd that is told to stand apart: meant so
    "-Wno-unused-but-set-variable",  # what one branch of a fused type reads, and the other does not
    "-Wno-maybe-uninitialized",  # Cython sets what a loop reads under the condition the loop runs under
]

#: Modules whose micro-kernels say what a vector is (``kernels/base/vector.h``).
VECTORS = ("affine", "affine_activation", "conv", "conv_transpose", "plan")
# All others leave that to the compiler: loops over 8 and more values stay whole until they are vectorised.
# Without this gcc 12 unrolls first: the gradient of pooling has 1.4 to 1.6 times the instructions.
WHOLE_LOOPS = ["--param=max-completely-peel-times=7", "-fno-loop-unroll-and-jam"]
# clang vectorizes but a part of what it has unrolled: softplus took 5 times as long, ELU 2 to 3 times.
WHOLE_LOOPS_OF_CLANG = ["-mllvm -unroll-full-max-count=7"]
#: Modules whose sums clang keeps in registers only where it does unroll first.
UNROLLED = ("pool", "window_pool", "batch_norm", "prelu")

X86_64 = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma", "-mbmi2", "-mf16c"],
    "avx512": [
        "-mavx2",
        "-mfma",
        "-mbmi2",
        "-mf16c",
        "-mavx512f",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx512vl",
        "-mprefer-vector-width=512",
    ],
}


COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
#: What is built for: ``linux-x86_64``, ``macosx-14.0-arm64``, ``macosx-10.13-universal2``.
TARGET = sysconfig.get_platform()
#: ``-arch arm64 -arch x86_64``, say, as Python was built or ``ARCHFLAGS`` has it: a probe is for both too.
ARCHITECTURES = re.findall(r"-arch|(?<=-arch )\S+", sysconfig.get_config_var("CFLAGS") or "")


def probe(flags: list[str], source: str = "int main(void) { return 0; }") -> str:
    """What the C compiler says against `flags` and `source`; nothing where it takes and links them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.c")
        path.write_text(source)
        command = [
            *COMPILER,
            *ARCHITECTURES,
            "-Werror",
            *flags,
            str(path),
            "-o",
            str(Path(folder, "probe")),
            "-lm",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            return f"{COMPILER[0]}: {error.strerror}"
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    wrong = [line for line in said if "error" in line] or said
    return "" if done.returncode == 0 else wrong[0] if wrong else f"exit status {done.returncode}"


def compiles(flags: list[str], source: str = "int main(void) { return 0; }") -> bool:
    """Whether the C compiler takes `flags` and links `source`."""
    return not probe(flags, source)


def taken(options: list[str]) -> list[str]:
    """The flags of those options that the compiler takes; some are of two words."""
    return [flag for option in options if compiles(option.split()) for flag in option.split()]


def refuse(why: str) -> None:
    """End the build with one sentence."""
    sys.exit(f"cnnref: {why}")


def check_machine() -> None:
    """End a build that cannot succeed before anything is translated.

    Raises
    ------
    SystemExit
        On Windows and other 32-bit machines, without a compiler or Python's headers.
    """
    if TARGET.startswith("win"):
        refuse("Windows is not supported; build it in WSL (`wsl --install`), where it is a Linux")
    if sys.maxsize < 2**32:
        refuse(f"{TARGET} is a 32-bit machine; a 64-bit Python is needed")
    if shutil.which(COMPILER[0]) is None:
        refuse(f"no C compiler: {COMPILER[0]!r} is not on PATH; install gcc or clang, or set CC")
    if why := probe([]):
        refuse(f"the C compiler {' '.join(COMPILER)!r} builds no program: {why}")
    headers = sysconfig.get_path("include")
    if why := probe([f"-I{headers}"], "#include <Python.h>\nint main(void) { return 0; }"):
        refuse(f"Python's headers are not in {headers} (python3-dev, python3-devel): {why}")


def openmp() -> tuple[list[str], list[str]]:
    """The flags that turn OpenMP on for the compiler and for the linker, if it is wanted and there."""
    if os.environ.get("CNNREF_OPENMP", "1") == "0":
        return [], []
    source = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }"
    ways = [(["-fopenmp"], ["-fopenmp"])]
    if TARGET.startswith("macosx"):  # Apple's clang has OpenMP without its runtime, which Homebrew has
        ways += [
            (["-Xpreprocessor", "-fopenmp", f"-I{place}/include"], [f"-L{place}/lib", "-lomp"])
            for place in (os.environ.get("LIBOMP", ""), "/opt/homebrew/opt/libomp", "/usr/local/opt/libomp")
            if place
        ]
    reasons = [probe([*compiler, *linker], source) for compiler, linker in ways]
    if "" in reasons:
        return ways[reasons.index("")]
    help_ = " (`brew install libomp`)" if TARGET.startswith("macosx") else ""
    print(
        f"cnnref: {COMPILER[0]} has no OpenMP{help_}, so every call runs on one thread: {reasons[-1]}",
        file=sys.stderr,
    )
    return [], []


def instruction_sets() -> dict[str, list[str]]:
    """The instruction sets to build for, with their flags; one build where dispatch has no use.

    A build for two architectures at a time (universal2 of macOS) is of the baseline alone.
    """
    if not TARGET.endswith(("-x86_64", "-amd64")):
        return {"baseline": []}
    reasons = {name: probe(flags) for name, flags in X86_64.items()}
    for name, why in reasons.items():
        if why:
            print(f"cnnref: not built for {name}: {why}", file=sys.stderr)
    return {name: flags for name, flags in X86_64.items() if not reasons[name]}


def extensions() -> list[Extension]:
    """The modules that stand once, and the kernels once for each instruction set."""
    check_machine()
    optimise = taken(OPTIMISE)
    openmp_compile, openmp_link = openmp()
    whole_loops, clang_loops = taken(WHOLE_LOOPS), taken(WHOLE_LOOPS_OF_CLANG)
    compile_args = optimise + openmp_compile + shlex.split(os.environ.get("CNNREF_CFLAGS", ""))
    link_args = openmp_link + shlex.split(os.environ.get("CNNREF_LDFLAGS", ""))
    depends = [str(path) for kind in ("*.pxd", "*.h") for path in PACKAGE.rglob(kind)]
    common = {
        "include_dirs": [numpy.get_include(), str(PACKAGE)],
        # The oldest NumPy that the dependencies allow: its headers hide what is newer than their target.
        "define_macros": [
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_1_25_API_VERSION"),
        ],
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
            nthreads=translators(),
        )
    }
    made = [
        Extension(
            name,
            translated[name],
            extra_compile_args=compile_args + whole_loops + clang_loops,
            **(suite if name.startswith("conformance.") else common),
        )
        for name in once
    ] + [
        Extension(
            f"cnnref._{isa}.{name}",
            translated[f"cnnref.{name}"],
            extra_compile_args=compile_args
            + ([] if name in VECTORS else whole_loops)
            + ([] if name in (*VECTORS, *UNROLLED) else clang_loops)
            + flags,
            **common,
        )
        for isa, flags in instruction_sets().items()
        for name in KERNELS
    ]
    # The longest first: what is built at a time ends at the same time.
    return sorted(made, key=lambda extension: -os.path.getsize(extension.sources[0]))


def translators() -> int:
    """Processes that translate Cython to C: forked ones, because to import this file is to build."""
    if not sys.platform.startswith("linux"):
        return 0
    multiprocessing.set_start_method("fork", force=True)
    return os.cpu_count() or 1


COUNTING = threading.Lock()


class BuildPerInstructionSet(build_ext):
    """Keep the objects of one source apart that is compiled for several instruction sets.

    Built is without the debug information that Python's own flags ask for: it is a third of the compiler's
    time and five sixths of the size. ``CNNREF_CFLAGS=-g`` has it.
    """

    def finalize_options(self) -> None:
        """Build as many at a time as there are processors, unless told otherwise."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()
        if not DEBUG and compiles(["-g0"]):
            for extension in self.extensions:
                extension.extra_compile_args = ["-g0", *extension.extra_compile_args]

    def build_extensions(self) -> None:
        """Build what is older than its sources; says how much that is."""
        self.stale = [ext.name for ext in self.extensions if self.force or self.is_stale(ext)]
        self.built = 0
        if self.stale:
            print(f"cnnref: {len(self.stale)} modules to compile", flush=True)
        build_ext.build_extensions(self)

    def is_stale(self, ext: Extension) -> bool:
        """Whether the extension is older than something it is built from."""
        return newer_group([*ext.sources, *ext.depends], self.get_ext_fullpath(ext.name), "newer")

    def build_extension(self, ext: Extension) -> None:
        """Build one extension in a folder of its own."""
        # A copy, because several threads are in here at a time.
        command = copy.copy(self)
        command.build_temp = os.path.join(self.build_temp, ext.name.rpartition(".")[0])
        build_ext.build_extension(command, ext)
        if ext.name in self.stale:
            with COUNTING:
                self.built += 1
                print(f"cnnref: {self.built} of {len(self.stale)} compiled: {ext.name}", flush=True)


WANTED = os.environ.get("CNNREF_EXTENSIONS", "1") != "0"

setup(ext_modules=extensions() if WANTED else [], cmdclass={"build_ext": BuildPerInstructionSet})
