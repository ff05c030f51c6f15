"""Hostile arguments: objects whose own code changes what a call is reading, and calls with them.

As a program, ``python hostile_support.py SEED CALLS NAME...`` makes so many calls of each function and writes
a line for each before it is made: the last line of a process that died names the call that killed it.
"""

import contextlib
import copy
import ctypes
import gc
import mmap
import os
import random
import resource
import sys
import warnings
from collections.abc import Mapping

import calls
import ml_dtypes
import numpy as np

import cnnref


class HookedError(Exception):
    """What hostile code raises."""


#: Arguments in place of `calls.arguments`: options, modes and dtypes that take other ways through the code.
VARIANTS = {
    "conv_forward": [{"hparameters": {"stride": (1, 2), "pad": "same", "dilation": (1, 1), "groups": 1}}],
    "conv_transpose_forward": [{"hparameters": {"stride": 2, "pad": ((1, 0), (0, 1)), "dilation": 1}}],
    "pool_forward": [
        {"mode": "average"},
        {"hparameters": {"f": (2, 3), "stride": 2, "pad": 1, "ceil_mode": True}},
        {"hparameters": {"f": 3, "stride": (1, 2), "pad": "same", "dilation": 2}},
    ],
    "batch_norm_forward": [{"hparameters": {"training": False}}],
    "cross_entropy_cost": [{"label_smoothing": 0.1, "ignore_index": -1}],
    "cross_entropy_backward": [{"label_smoothing": 0.1, "ignore_index": -1}],
    "softmax_cross_entropy": [{"label_smoothing": 0.1, "ignore_index": 2}],
    "softmax_cross_entropy_backward": [{"label_smoothing": 0.1, "ignore_index": 2}],
    "distribute_value": [{"dz": 1.5, "shape": [4]}],
}
#: What is no function of arrays.
OTHERS = {
    "get_num_threads": {},
    "set_num_threads": {"n": 2},
    "show_config": {"mode": "dicts"},
    "kernel_for": {
        "function": "conv_forward",
        "A_shape": (2, 8, 9, 3),
        "W_shape": (3, 3, 3, 4),
        "hparameters": {"stride": 1, "pad": 1},
    },
}


def functions():
    """The public functions by name, those of the blog behind ``blog.``."""
    found = {name: getattr(cnnref, name) for name in cnnref.__all__}
    found |= {f"blog.{name}": getattr(cnnref.blog, name) for name in cnnref.blog.__all__}
    return {name: f for name, f in found.items() if callable(f) and not isinstance(f, type)}


def recipes():
    """Lists of good keyword arguments by function."""
    found = {name: [keywords] for name, keywords in OTHERS.items()}
    for dtype in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16):
        for name, keywords in calls.arguments(dtype).items():
            found.setdefault(name, []).append(keywords)
            found[name] += [keywords | more for more in VARIANTS.get(name, [])]
    return found | {f"blog.{name}": found[name] for name in cnnref.blog.__all__ if name in found}


def at_a_page(array):
    """A copy that ends where readable memory ends: one element more ends the process."""
    page = mmap.PAGESIZE
    room = (array.nbytes + page - 1) // page * page
    memory = mmap.mmap(-1, room + page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(base + room), ctypes.c_size_t(page), 0) == 0
    made = np.frombuffer(memory, array.dtype, array.size, room - array.nbytes).reshape(array.shape)
    made[...] = array
    return made


def places(value, path=()):
    """The paths of an argument, of its fields and of its keys."""
    yield path
    if isinstance(value, tuple):
        for i, field in enumerate(value):
            yield from places(field, (*path, i))
    if isinstance(value, dict):
        for key, field in value.items():
            yield from places(field, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def planted(value, path, hostile):
    """`value` with `hostile` at `path`."""
    if not path:
        return hostile
    inner = planted(value[path[0]], path[1:], hostile)
    if isinstance(value, dict):
        value[path[0]] = inner
        return value
    fields = [inner if i == path[0] else field for i, field in enumerate(value)]
    made = type(value)(*fields) if hasattr(value, "_fields") else tuple(fields)
    made.__dict__.update(vars(value)) if hasattr(value, "__dict__") else None
    return made


class Attack:
    """What a hook does to the arrays and mappings of its call, once or each time that it runs."""

    def __init__(self, rng, arrays, mappings):
        self.rng, self.arrays, self.mappings = rng, arrays, mappings
        self.act = rng.choice(
            (
                "reshape",
                "reshape",
                "reshape",
                "resize",
                "resize",
                "overwrite",
                "dtype",
                "mutate",
                "raise",
                "later",
                "none",
            )
        )
        self.left = 0

    def __call__(self):
        if self.left > 0:
            self.left -= 1
            getattr(self, self.act)()

    def none(self):
        pass

    def reshape(self):
        form = self.rng.randrange(6)
        for a in self.arrays:
            wanted = [
                (-1,),
                a.shape[::-1],
                (a.size, *a.shape[1:-1], 1),
                (1, *a.shape),
                (a.size, 1, 1, 1),
                (1, a.size),
            ]
            if form < 5 or a.ndim:
                self.tried(setattr, a, "shape", wanted[form])

    def resize(self):
        least = self.rng.random() < 0.7
        for a in self.arrays:
            self.tried(a.resize, (1,) * a.ndim if least else (a.size * 300,), refcheck=False)

    def overwrite(self):
        for a in self.arrays:
            with np.errstate(all="ignore"):
                self.tried(a.fill, 2**40 if a.dtype.kind in "iu" else np.nan)

    def dtype(self):
        for a in self.arrays:
            self.tried(setattr, a, "dtype", self.rng.choice((np.int8, np.float16, np.uint32)))

    def mutate(self):
        for mapping in self.mappings:
            if self.rng.random() < 0.5:
                mapping.clear()
            else:
                mapping.update(dict.fromkeys(list(mapping), self.rng.choice((2**62, -1, "x", None))))

    def later(self):
        """Do it when the garbage collector runs, which it then does as often as it can."""
        self.act = self.rng.choice(("reshape", "resize", "dtype", "mutate"))
        self.left = 1
        garbage = Garbage(self)
        garbage.itself = garbage
        gc.set_threshold(1)

    def tried(self, function, *arguments, **keywords):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(ValueError, TypeError, AttributeError, OverflowError, MemoryError):
                function(*arguments, **keywords)

    def __getattr__(self, name):
        if name == "raise":
            return self._raise
        raise AttributeError(name)

    def _raise(self):
        raise self.rng.choice((HookedError, KeyError, ValueError, TypeError, AttributeError, OverflowError))(
            "of a hook"
        )


class Garbage:
    def __init__(self, attack):
        self.attack = attack

    def __del__(self):
        self.attack()


def wrong(rng, value):
    """Things that are no such argument, and unusual ones that are."""
    array = np.asarray(value) if isinstance(value, np.ndarray) else np.ones(3)
    return rng.choice(
        (
            lambda: rng.choice(
                (None, "text", b"bytes", object(), [], {}, (), float("nan"), 1j, 2**62, -1, 10**5000)
            ),
            lambda: rng.choice(
                (True, np.True_, np.float32(2), np.int8(1), -(10**5000), {1, 2}, range(3), Ellipsis)
            ),
            lambda: np.broadcast_to(np.int8(1), (2**62, 1)),
            lambda: np.broadcast_to(array.reshape(-1)[:1], (2**40,)) if array.size else array,
            lambda: np.array(["a", "b"]),
            lambda: np.array([None, "x"]),
            lambda: np.zeros(3, "M8[s]"),
            lambda: np.zeros(3, [("a", "f4")]),
            lambda: array.T,
            lambda: array.astype(array.dtype.newbyteorder()) if array.dtype.isnative else array,
            lambda: array.reshape(-1)[::-1],
            lambda: array[..., None],
            lambda: np.array(7),
            lambda: np.empty((0,) * array.ndim),
            lambda: np.empty((2**31, 0, 1, 3)),
            lambda: array.tolist(),
        )
    )()


def hooked(rng, value, attack):
    """An object with methods of its own in the place of `value`."""
    answer = rng.choice((lambda: value, lambda: value, lambda: value, lambda: wrong(rng, value)))

    def hook(self=None, *arguments, **keywords):
        attack()
        return answer()

    def lying(self, *arguments):
        attack()
        return rng.choice((0, 1, 2, 4, 7, 2**62, True))

    def equal(self, other):
        attack()
        return rng.choice((True, False))

    def iterate(self):
        attack()
        return iter(rng.choice(((), (1,), ("stride", "pad"), range(100))))

    every = {
        "__eq__": equal,
        "__hash__": lambda self: hash("pad"),
        "__index__": hook,
        "__float__": hook,
        "__int__": hook,
    }
    numbers = every | {
        "__array__": hook,
        "__bool__": equal,
        "__lt__": equal,
        "__le__": equal,
        "__ge__": equal,
        "__gt__": equal,
    }
    sequence = every | {
        "__len__": lying,
        "__iter__": iterate,
        "__getitem__": hook,
        "__contains__": equal,
        "keys": iterate,
    }

    def made(base, methods, *arguments):
        return type("Hostile", (base,), methods)(*arguments)

    if isinstance(value, np.ndarray):
        held = np.asarray(value)
        return rng.choice(
            (
                lambda: made(object, numbers),
                lambda: made(
                    object,
                    {"__array_interface__": property(lambda self: hook() and held.__array_interface__)},
                ),
                lambda: made(
                    object, {"__class__": property(lambda self: hook() and np.ndarray), "__array__": hook}
                ),
                lambda: held.view(
                    type("Sub", (np.ndarray,), {"__array_finalize__": hook, "shape": property(lying)})
                ),
                lambda: made(object, {"__array_struct__": property(hook), **numbers}),
                lambda: made(list, sequence, held.tolist() if held.ndim else [1]),
                lambda: np.frompyfunc(lambda _: made(object, numbers), 1, 1)(np.ones(3)),
            )
        )()
    if isinstance(value, tuple):
        return made(tuple, sequence, value)
    if isinstance(value, dict):
        inner = dict(value)

        def get(self, key):
            attack()
            return inner[key]

        methods = {"__getitem__": get, "__iter__": lambda self: attack() or iter(inner), "__len__": lying}
        key = made(str, every, "pad") if rng.random() < 0.5 else made(object, every)
        return rng.choice(
            (
                lambda: made(Mapping, methods),
                lambda: made(dict, methods | {"__contains__": equal}, value),
                lambda: made(dict, {"keys": iterate, "__iter__": iterate, "__len__": lying}, value),
                lambda: {**{key: 1}, **value},
                lambda: made(object, methods | {"__class__": property(lambda self: hook() and dict)}),
            )
        )()
    if isinstance(value, str):
        return made(str, every | {"__str__": hook, "__len__": lying, "__iter__": iterate}, value)
    if isinstance(value, bool) or value is None:
        return made(object, numbers | {"__class__": property(lambda self: hook() and bool)})
    if isinstance(value, list):
        return made(list, sequence, value)
    return rng.choice(
        (
            lambda: made(object, numbers),
            lambda: made(type(value), numbers, value),
            lambda: made(
                object,
                numbers | {"__class__": property(lambda self: hook() and rng.choice((bool, int, float)))},
            ),
            lambda: (made(object, numbers), value),
            lambda: [made(object, numbers), made(object, numbers)],
            lambda: made(list, sequence, [value, value]),
            lambda: ((made(object, numbers), value), made(tuple, sequence, (value, value))),
        )
    )()


def victims(value, arrays, mappings):
    """Gather what an attack may change."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
    elif isinstance(value, dict):
        mappings.append(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        victims(inner, arrays, mappings)
    if isinstance(value, cnnref.PoolCache):
        victims(value._argmax, arrays, mappings)


def moved(value, move):
    """A copy of an argument in memory of its own."""
    if isinstance(value, np.ndarray):
        return at_a_page(value) if move and value.size else value.copy()
    if isinstance(value, dict):
        return {key: moved(inner, move) for key, inner in value.items()}
    if isinstance(value, tuple):
        fields = [moved(inner, move) for inner in value]
        made = type(value)(*fields) if hasattr(value, "_fields") else tuple(fields)
        if isinstance(value, cnnref.PoolCache):
            made._argmax = moved(value._argmax, False)
        return made
    return copy.copy(value)


def call(function, keywords, place, rng):
    """One call with something hostile at `place`; what it came to."""
    keywords = moved(keywords, rng.random() < 0.5)
    arrays, mappings = [], []
    victims({**keywords}, arrays, mappings)
    attack = Attack(rng, arrays, mappings[1:])
    value = at(keywords, place)
    hostile = wrong(rng, value) if rng.random() < 0.15 else hooked(rng, value, attack)
    keywords = planted(keywords, place, hostile)
    attack.left = rng.choice((1, 1, 2, 100))
    try:
        function(**keywords)
        return "returned"
    except Exception as error:
        return type(error).__name__
    finally:
        attack.left = 0
        gc.set_threshold(700, 10, 10)


def limit_memory():
    """Leave 256 MiB: a stride or padding that happens to be huge is a MemoryError, not minutes of zeros.

    AddressSanitizer, which reserves all there is to address, has a limit of its own for that.
    """
    with open("/proc/self/statm") as file:
        limit = int(file.read().split()[0]) * mmap.PAGESIZE + (256 << 20)
    if "ASAN_OPTIONS" not in os.environ:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(seed, count, names):
    public, good = functions(), recipes()
    cnnref.softmax(np.ones((1000, 1000)))  # the threads' stacks are there before memory is short
    limit_memory()
    warnings.simplefilter("ignore")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (what a function prints is no line of a call)
    outcomes = {}
    for name in names:
        tasks = [(k, p) for k in good[name] for p in places(k) if p]
        for number in range(count if tasks else 0):
            rng = random.Random(f"{seed} {name} {number}")
            keywords, place = tasks[number % len(tasks)]
            os.write(1, f"{name} {place} {number}\n".encode())
            found = call(public[name], keywords, place, rng)
            outcomes[found] = outcomes.get(found, 0) + 1
    os.write(1, f"{outcomes}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
