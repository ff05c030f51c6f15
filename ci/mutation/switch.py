"""Many mutants in one build: each changed expression is chosen by a number that the process is started with.

    a + b  becomes  ((a - b) if CNNREF_MUTANT == 7 else (a * b) if CNNREF_MUTANT == 8 else (a + b))

so that a module is built once for all of its mutants, not once for each. An expression is what stands
between commas, brackets, colons, assignments and the words that begin a statement. What is no expression
(the constants of an enum, the extent of an array, ``*=``) has to be built alone.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from ci.mutation.mutants import Mutant

#: The environment variable, and the name of the number in the sources.
NAME = "CNNREF_MUTANT"
#: What the sources take the number from.
DECLARATION = f'cdef extern from "mutant.h" nogil:\n    int {NAME}\n'
HEADER = f"""#include <stdlib.h>
static int {NAME} = 0;
__attribute__((constructor)) static void cnnref_choose_mutant(void) {{
    const char *chosen = getenv("{NAME}");
    {NAME} = chosen ? atoi(chosen) : 0;
}}
"""

_OPENING, _CLOSING = "([{", ")]}"
_LIMITS = (",", ":", "=", "+=", "-=", "*=", "/=", "//=", "&=", "|=", "<<=", ">>=", ";")
_WORDS = ("if", "elif", "while", "return", "assert", "raise")


Spot = tuple[int, int]


class _Place(NamedTuple):
    start: int
    end: int


def switched(source: str, numbered: Mapping[int, Mutant]) -> tuple[str, set[int]]:
    """The source with all mutants in it, and the numbers of those that have to be built alone.

    Every line keeps its number.
    """
    begins = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
    statements = list(_statements(source))
    places: dict[_Place, list[int]] = {}
    alone = set()
    for number, mutant in numbered.items():
        found = _expression(statements, mutant)
        place = _Place(*(begins[line - 1] + column for line, column in found)) if found else None
        if place is None or "#" in source[place.start : place.end]:
            alone.add(number)
        else:
            places.setdefault(place, []).append(number)

    def changed(number: int, place: _Place) -> str:
        mutant, plain = numbered[number], source[place.start : place.end]
        if _augmented(mutant):
            return f"-({plain})"
        low, high = (begins[mutant.line - 1] + c - place.start for c in (mutant.column, mutant.end))
        return plain[:low] + mutant.text + plain[high:]

    def render(start: int, end: int, inside: list[_Place]) -> str:
        text, at = "", start
        for place in inside:
            if place.start < at:
                continue  # inside of the last one
            nested = [p for p in inside if p != place and place.start <= p.start and p.end <= place.end]
            choices = "".join(
                f"({' '.join(changed(n, place).split())}) if {NAME} == {n} else " for n in places[place]
            )
            text += source[at : place.start] + f"({choices}({render(*place, nested)}))"
            at = place.end
        return text + source[at:end]

    outermost_first = sorted(places, key=lambda place: (place.start, -place.end))
    body = render(0, len(source), outermost_first)
    return (_with_import(body) if places else body), alone


def _augmented(mutant: Mutant) -> bool:
    """Whether ``+=`` becomes ``-=`` or the other way: the negative value is added, which is the same bits."""
    return {mutant.before[mutant.column : mutant.end], mutant.text} == {"+=", "-="}


def _with_import(text: str) -> str:
    """The first empty line outside of the module's docstring takes the import."""
    lines = text.split("\n")
    quotes = 0
    for at, line in enumerate(lines):
        quotes += line.count('"""')
        if not line and quotes % 2 == 0:
            lines[at] = f"from cnnref._mutant cimport {NAME}"
            return "\n".join(lines)
    raise ValueError("no empty line for the import")


def _statements(source: str) -> Iterator[list[tokenize.TokenInfo]]:
    """The statements, as tokens; not the constants of an enum."""
    statement: list[tokenize.TokenInfo] = []
    enum = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if statement:
                column = statement[0].start[1]
                if enum < 0 or column <= enum:
                    enum = -1
                    yield [*statement, token]
                if [t.string for t in statement[:2]] == ["cdef", "enum"]:
                    enum = column
            statement = []
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
            statement.append(token)


def _expression(statements: list[list[tokenize.TokenInfo]], mutant: Mutant) -> tuple[Spot, Spot] | None:
    """Where the expression begins and ends that a mutant changes; None if it changes none."""
    spot = (mutant.line, mutant.column)
    tokens = next((t for t in statements if t[0].start <= spot <= t[-1].end), [])
    if not tokens:
        return None
    at = next(i for i, token in enumerate(tokens) if token.start >= spot)
    if mutant.column == mutant.end:  # something is put behind the expression that ends before this token
        at -= 1
    elif _augmented(mutant):
        at += 1
    first, last = _edge(tokens, at, -1), _edge(tokens, at, 1)
    inside = [token.string for token in tokens[first : last + 1]]
    before = tokens[first - 1].string if first else ""
    if not inside or inside[0] in ("*", "**") or "for" in inside or first > last:
        return None
    if before not in (*_LIMITS, *_OPENING, *_WORDS, "in"):
        return None
    if tokens[0].string == "cdef" and not any(token.string == "=" for token in tokens[:first]):
        return None
    return tokens[first].start, tokens[last].end


def _edge(tokens: list[tokenize.TokenInfo], at: int, step: int) -> int:
    """The last token in that direction of the expression around token `at`."""
    enters, leaves = (_CLOSING, _OPENING) if step < 0 else (_OPENING, _CLOSING)
    depth, started = 0, at
    while 0 <= at < len(tokens) and tokens[at].type not in (tokenize.NEWLINE, tokenize.ENDMARKER):
        text = tokens[at].string
        depth += text in enters
        if text in leaves and at != started:
            depth -= 1
        if depth < 0 or (depth == 0 and (text in _LIMITS or (step < 0 and _begins(tokens, at)))):
            break
        at += step
    return at - step


def _begins(tokens: list[tokenize.TokenInfo], at: int) -> bool:
    """Whether an expression follows the word: ``if`` or ``return`` of a statement, ``in`` of a loop."""
    text = tokens[at].string
    if text == "in":
        return tokens[0].string == "for"
    return text in _WORDS and (at == 0 or tokens[at - 1].string == ":")
