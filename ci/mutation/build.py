"""A scratch copy of the package in which one module at a time is rebuilt, for one instruction set.

The flags and directives are those of setup.py, but for the optimisation: every bit of a result is defined,
so a quick build gives the same ones. AddressSanitizer is built in: a read or a write outside of an array
ends the process, whatever it does to the results.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cnnref"
#: Needed by whatever loads the modules: see `sanitized`.
_SANITIZER = "-fsanitize=address"
#: What is copied of the package.
_SOURCES = (".py", ".pyx", ".pxd", ".h")
_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


class BuildError(RuntimeError):
    """Cython or the C compiler refused a source."""


def _settings() -> dict[str, Any]:
    """The tables of setup.py, without running it."""
    wanted = {"SHARED", "KERNELS", "DIRECTIVES", "X86_64"}
    body = [
        node
        for node in ast.parse((ROOT / "setup.py").read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in wanted
    ]
    found: dict[str, Any] = {"DEBUG": False, "PACKAGE": PACKAGE}
    exec(compile(ast.Module(body, []), "setup.py", "exec"), found)  # tables of our own file
    return found


def _source(module: str) -> str:
    """The file that a module is made from, relative to the package."""
    return f"{module.replace('.', '/')}.pyx"


def _module(file: str) -> str:
    """The module of a file, relative to the package."""
    return file.rpartition(".")[0].replace("/", ".")


def _compiler() -> str:
    return str(sysconfig.get_config_var("CC") or "cc").split()[0]


def sanitized(log: Path) -> dict[str, str]:
    """The environment that a process needs from its start to load the modules.

    What AddressSanitizer finds is written to ``LOG.PID``. Memory is handed out filled with a byte that is no
    small number, so that what is read before it is written shows. OpenMP's own memory is left at the end.
    """
    # The C++ library too: AddressSanitizer looks for it at the start, and torch throws exceptions later.
    libraries = [
        subprocess.run(
            [_compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    options = (
        "detect_leaks=0:halt_on_error=1:allocator_may_return_null=1:handle_segv=0:max_malloc_fill_size=1000000000:"
        f"malloc_fill_byte=165:log_path={log}"
    )
    return {"LD_PRELOAD": ":".join(libraries), "ASAN_OPTIONS": options, "PYTHONMALLOC": "malloc"}


class Tree:
    """The scratch copy.

    Parameters
    ----------
    folder : Path
        Where it stands; kept between runs, built anew when a source has changed.
    isa : str
        The instruction set to build for.
    """

    def __init__(self, folder: Path, isa: str) -> None:
        self.folder, self.isa, self._settings = folder, isa, _settings()
        self.package = folder / "cnnref"
        self.kernels: tuple[str, ...] = self._settings["KERNELS"]
        self.modules: tuple[str, ...] = (*self._settings["SHARED"], *self.kernels)
        #: The sources in it, by name.
        self.sources: dict[str, str] = {}
        self._changed: set[str] = set()

    def prepare(self, sources: Mapping[str, str]) -> None:
        """Copy the package, with `sources` in place of its own, and build what is not built of them yet.

        Modules that none of them reaches are taken as they are built in the package.

        Raises
        ------
        BuildError
            If a module does not build.
        """
        paths = [path for path in PACKAGE.rglob("*") if path.suffix in _SOURCES]
        self.sources = {**{str(p.relative_to(PACKAGE)): p.read_text() for p in paths}, **sources}
        for name, text in self.sources.items():
            (self.package / name).parent.mkdir(parents=True, exist_ok=True)
            (self.package / name).write_text(text)
        self._changed = {module for name in sources for module in self.users(name)}
        for module in self.modules:
            stamp = self.folder / f"{module}.digest"
            if module in self._changed and not (stamp.exists() and stamp.read_text() == self._digest(module)):
                print(f"building {module} ({self.isa}) ...", flush=True)
                self.build(module)
                shutil.copy(self.library(module), self._kept(module))
                stamp.write_text(self._digest(module))
            self._put_back(module)

    def _digest(self, module: str) -> str:
        """Of all that a module is made from."""
        reached = [
            name for name in sorted(self.sources) if name.endswith(".pxd") and module in self.users(name)
        ]
        headers = [name for name in sorted(self.sources) if name.endswith(".h")]
        text = "\0".join(self.sources[name] for name in (*reached, *headers, _source(module)))
        return hashlib.sha256(f"{text}{self._settings}".encode()).hexdigest()

    def library(self, module: str) -> Path:
        """The compiled module."""
        return self._library(self.package, module)

    def _library(self, package: Path, module: str) -> Path:
        room = f"_{self.isa}" if module in self.kernels else "."
        return package / room / _source(module).replace(".pyx", _SUFFIX)

    def _kept(self, module: str) -> Path:
        """Where its library is copied from: built here if a source is changed, else the package's own."""
        if module in self._changed:
            return self.folder / f"{module}.kept"
        return self._library(PACKAGE, module)

    def restore(self, file: str, modules: list[str]) -> None:
        """Put the source and the modules back as they were."""
        (self.package / file).write_text(self.sources[file])
        for module in modules:
            self._put_back(module)

    def _put_back(self, module: str) -> None:
        self.library(module).unlink(missing_ok=True)  # never write into a mapped library
        shutil.copy(self._kept(module), self.library(module))

    def build(self, module: str) -> None:
        """Translate and compile a module.

        Raises
        ------
        BuildError
            If it does not build.
        """
        c_file = self.folder / f"{module}.c"
        directives = [f"-X{k}={v}" for k, v in self._settings["DIRECTIVES"].items() if k != "language_level"]
        source = f"cnnref/{_source(module)}"
        self._run(sys.executable, "-m", "cython", "-3", *directives, source, "-o", str(c_file))
        library = self.library(module)
        library.unlink(missing_ok=True)
        flags = self._settings["X86_64"].get(self.isa, []) if module in self.kernels else []
        includes = (sysconfig.get_paths()["include"], numpy.get_include(), "cnnref")
        command = (
            _compiler(),
            *("-shared", "-fPIC", "-O1", "-w", "-ffp-contract=off", "-fno-math-errno", "-fopenmp"),
            _SANITIZER,
            *flags,
            *(f"-I{place}" for place in includes),
            "-DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION",
            *(str(c_file), "-o", str(library), "-lm"),
        )
        try:
            self._run(*command)
        except BuildError as error:
            raise BuildError(f"{error}\n{self._places(str(error), c_file)}") from error

    def _places(self, error: str, c_file: Path) -> str:
        """The lines of the sources that a C compiler's errors are about: Cython names them in comments."""
        lines = c_file.read_text().splitlines()
        found: dict[str, None] = {}
        for number in re.findall(re.escape(str(c_file)) + r":(\d+):\d+: error", error):
            above = (
                re.match(r'\s*/\* "(cnnref/[\w/]+\.p[yx][xd])":(\d+)', x) for x in lines[int(number) :: -1]
            )
            place = next((f"{m[1]}:{m[2]}" for m in above if m), None)
            if place:
                found[place] = None
        return "\n".join(found)

    def _run(self, *command: str) -> None:
        plain = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONMALLOC")}
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=plain, capture_output=True, text=True, check=False, timeout=120
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError("does not finish building") from error
        if done.returncode:
            raise BuildError((done.stderr or done.stdout).strip()[-20000:])

    def users(self, file: str) -> list[str]:
        """The modules that a change of `file` reaches: itself, or those that take it in."""
        name = _module(file)
        if file.endswith(".pyx"):
            return [name]
        takers: dict[str, set[str]] = {}
        for taker, text in self.sources.items():
            for taken, names in re.findall(r"^from cnnref\.([\w.]+) cimport (.*)", text, re.MULTILINE):
                for module in (taken, *(f"{taken}.{part.strip()}" for part in names.split(","))):
                    takers.setdefault(module, set()).add(taker)
        found, seen, todo = {name}, {name}, [name]
        while todo:
            for taker in takers.get(todo.pop(), ()):
                stem = _module(taker)
                if taker.endswith(".pyx"):
                    found.add(stem)
                elif stem not in seen:
                    seen.add(stem)
                    todo.append(stem)
        return [module for module in self.modules if module in found]
