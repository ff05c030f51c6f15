"""How many processors this process may use (affinity, a container's quota, the environment); their cache."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

_VARIABLES = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT")
_COUNTS = re.compile(r"\s*\+?[0-9]{1,4}\s*(,\s*\+?[0-9]{1,4}\s*)*", re.ASCII)


def processors(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """The number of threads that are worth starting.

    The smallest of: the processors in this process's affinity mask; the quota of its control groups,
    rounded up; ``OMP_NUM_THREADS`` (its first level) and ``OMP_THREAD_LIMIT``, where they are set.

    Parameters
    ----------
    environment : mapping, optional
        The environment variables.
    root : Path, optional
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int
        At least 1.
    """
    limits = [_affinity(), *quotas(root)]
    for variable in _VARIABLES:
        value = _count(environment.get(variable, "").split(",")[0].strip())
        if value > 0:
            limits.append(value)
    return max(1, min(limits))


def forget_unreadable(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take out the thread counts that end a process within LLVM's OpenMP runtime.

    Version 16 asserts that there are fewer threads than 2**31, and takes that number for a limit that it
    cannot read. It reads them at its first call and after each ``fork()``.
    """
    for name in _VARIABLES:
        if not _COUNTS.fullmatch(environment.get(name, "1")):
            del environment[name]


_STACK = re.compile(r"\s*\+?0*([0-9]{1,15})\s*([bkmg]?)\s*", re.IGNORECASE | re.ASCII)
_UNITS = {"B": 1, "K": 1 << 10, "": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def stack_size(environment: Mapping[str, str] = os.environ) -> int:
    """The stack of a thread of the OpenMP runtime.

    Parameters
    ----------
    environment : mapping, optional
        The environment variables.

    Returns
    -------
    int
        Bytes, as ``OMP_STACKSIZE`` or ``GOMP_STACKSIZE`` has them; 0 for the system's default, as where the
        runtime does not understand them.
    """
    for variable in ("OMP_STACKSIZE", "GOMP_STACKSIZE"):
        found = _STACK.fullmatch(environment.get(variable, ""))
        if found is not None and (size := int(found[1]) * _UNITS[found[2].upper()]) < 1 << 62:
            return size
    return 0


def _count(text: str) -> int:
    """The number that `text` is in ASCII digits, or `MOST` where it is larger; 0 for any other text."""
    digits = text.removeprefix("+").lstrip("0")
    if not (digits.isascii() and digits.isdecimal()):
        return 0
    return min(int(digits[: len(str(MOST)) + 1]), MOST)  # Python refuses to read thousands of digits


#: More than there is of anything here.
MOST = 1 << 50


#: Bytes, where the system does not tell: usual for a core, and for the cores that share one.
SECOND_LEVEL = 1 << 20
CACHE = 32 << 20


def cache_sizes(root: Path = Path("/")) -> tuple[int, int]:
    """The sizes of a processor's second-level cache and of its last one.

    Parameters
    ----------
    root : Path, optional
        Where ``sys`` is.

    Returns
    -------
    tuple of int
        Bytes, as Linux tells them; elsewhere `SECOND_LEVEL` and `CACHE`.
    """
    sizes, second = [], 0
    for folder in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            text = (folder / "size").read_text().strip()  # "32768K"
            size = _count(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}[text[-1]]
        except (OSError, ValueError, KeyError, IndexError):
            continue
        if not 0 < size < MOST:
            continue
        sizes.append(size)
        with suppress(OSError, ValueError):
            if (folder / "level").read_text().strip() == "2":
                second = max(second, size)
    last = max(sizes, default=CACHE)
    return second or min(SECOND_LEVEL, last), last


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def quotas(root: Path = Path("/")) -> Iterator[int]:
    """The quotas of this process's control groups and those above them, in processors, rounded up."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            yield from _upwards(root / "sys/fs/cgroup", path, _version_2)
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", "cpu,cpuacct"):
                yield from _upwards(root / "sys/fs/cgroup" / mount, path, _version_1)


def _upwards(mount: Path, path: str, read: Callable[[Path], tuple[int, int]]) -> Iterator[int]:
    """What `read` finds in the group `path` and above; inside a container the mount is the group itself."""
    group = mount / path.lstrip("/")
    if ".." in group.parts:
        group = mount
    for folder in [group, *group.parents]:
        try:
            quota, period = read(folder)
        except (OSError, ValueError):
            pass
        else:
            if quota > 0 and period > 0:
                yield -(-quota // period)
        if folder == mount:
            return


def _version_2(folder: Path) -> tuple[int, int]:
    quota, period = (folder / "cpu.max").read_text().split()
    return _count(quota), _count(period)  # "max" is 0: no quota


def _version_1(folder: Path) -> tuple[int, int]:
    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    return _count(quota), _count(period)
