"""A `script.Script` carried out where the functions are: what each act gives, and what is seen there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.request import DEVICE, Request
from conformance.cases.script import Act, Layer, Script
from conformance.implementations.calls import Functions, before, last, named
from conformance.implementations.forms import formed
from conformance.implementations.handed import Handed
from conformance.implementations.memory import same_bytes
from conformance.implementations.perform import Owned, Tried, sharing
from conformance.implementations.refusals import of_device, refused
from conformance.implementations.signature import LackingError
from conformance.implementations.source import one_line

Arrays = Mapping[str, NDArray[Any]]

#: How many callers there are at a time.
CALLERS = 4


def played(functions: Owned, script: Script) -> list[Tried]:
    """What came of each act that is looked at, up to the first that had no answer."""
    player, done = _Player(functions, script.layers), list[Tried]()
    for act in script.acts:
        try:
            with np.errstate(all="ignore"):
                tried = player.act(act)
        except (KeyboardInterrupt, MemoryError):
            raise
        except LackingError as error:
            tried = Tried("absent", f"not implemented: {error}")
        except BaseException as error:  # SystemExit too: an implementation may not end the run
            what = one_line(error)
            how = DEVICE if of_device(error) else "raised "
            tried = Tried("refused", what) if refused(error, functions.own) else Tried("error", how + what)
        if tried is not None:
            done.append(tried)
            if tried.kind != "answered":
                break
    return done


class _Live:
    """A layer with arrays, hyperparameters and caches of its own."""

    def __init__(self, layer: Layer) -> None:
        self.request: Request = layer.request
        self.form = layer.form
        self.arrays = formed(layer.arrays, layer.form)
        self.given = formed(layer.arrays, layer.form)
        self.handed = Handed()
        self.known: dict[Any, Any] = {}

    def renewed(self) -> _Live:
        """The same with other memory."""
        return _Live(Layer(self.request, self.given, self.form))


class _Player:
    """The layers, and the outputs seen so far."""

    def __init__(self, functions: Functions, layers: Sequence[Layer]) -> None:
        self._functions = functions
        self._layers = [_Live(layer) for layer in layers]
        self._seen: list[Mapping[str, Any]] = []

    def act(self, act: Act) -> Tried | None:
        """Do something."""
        if act.what == "again":
            return Tried("answered", "", _copied(self._seen[act.layer]))
        live = self._layers[act.layer]
        if act.what == "forward":
            live.known = before(self._functions, live.request, live.arrays, live.handed)
        elif act.what == "overwrite":
            live.request = self._layers[act.more].request  # a cache made by hand has values of its own
            for name, array in self._layers[act.more].arrays.items():
                live.arrays[name][...] = array
                live.given[name] = live.arrays[name].copy()
        elif act.what == "alter":
            live.handed.alter()
        elif act.what in ("repeat", "together"):
            return self._many(live, act)
        elif act.what == "compiled":
            compiled = getattr(getattr(self._functions, "target", None), "compiled", None)
            if compiled is None:
                raise LackingError("nothing compiles its functions")
            tried: Tried = compiled(lambda: self._called(live, True))
            return tried
        else:
            return self._called(live, act.what == "call")
        return None

    def _called(self, live: _Live, whole: bool) -> Tried:
        started = time.perf_counter()
        outputs = self._outputs(live, whole)
        seconds = time.perf_counter() - started
        arguments = {**live.arrays, **{f"an earlier {n}": x for s in self._seen for n, x in s.items()}}
        notes = sharing(outputs, arguments)
        self._seen.append(outputs)
        changed = tuple([n for n, a in live.arrays.items() if not same_bytes(a, live.given[n])])
        return Tried("answered", "", _copied(outputs), changed, seconds, (*notes, *live.handed.notes()))

    def _outputs(self, live: _Live, whole: bool) -> dict[str, Any]:
        if whole:
            live.known = before(self._functions, live.request, live.arrays, live.handed)
        result = last(self._functions, live.request, live.arrays, live.known, live.handed)
        return named(live.request, result)

    def _many(self, live: _Live, act: Act) -> Tried:
        """The first outputs that have other bits than the first of all, or the last."""
        first = _copied(self._outputs(live.renewed(), True))
        with _Threads(self._functions, act.threads):
            if act.what == "repeat":
                found = self._other(live, act.more, first)
            else:
                found = self._among_callers(live, act.more, first)
        return Tried("answered", "", found)

    def _other(self, live: _Live, times: int, first: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(first)
        for _ in range(times):
            found = _copied(self._outputs(live, True))
            if not _same(found.values(), first.values()):
                break
        return found

    def _among_callers(self, live: _Live, times: int, first: Mapping[str, Any]) -> dict[str, Any]:
        others: list[dict[str, Any]] = []
        errors: list[BaseException] = []

        def caller() -> None:
            try:
                with np.errstate(all="ignore"):
                    others.append(self._other(live.renewed(), times // CALLERS, first))
            except BaseException as error:
                errors.append(error)

        callers = [threading.Thread(target=caller) for _ in range(CALLERS)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join()
        if errors:
            raise errors[0]
        return next((found for found in others if not _same(found.values(), first.values())), others[0])


class _Threads:
    """Tells the functions how many threads they may use, if they can be told."""

    def __init__(self, functions: Functions, count: int) -> None:
        target = getattr(functions, "target", None)
        self._set = getattr(target, "set_num_threads", None) if count else None
        self._get = getattr(target, "get_num_threads", None)
        self._count, self._before = count, 0

    def __enter__(self) -> None:
        if callable(self._set) and callable(self._get):
            self._before = self._get()
            self._set(self._count)

    def __exit__(self, *_: object) -> None:
        if self._before and callable(self._set):
            self._set(self._before)


def _copied(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {n: np.array(x) if isinstance(x, np.ndarray) else x for n, x in outputs.items()}


def _same(ones: Iterable[Any], others: Iterable[Any]) -> bool:
    """Whether all have the same bits."""
    return all(
        np.asarray(one).tobytes() == np.asarray(other).tobytes()
        for one, other in zip(ones, others, strict=True)
    )
