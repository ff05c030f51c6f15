"""The mutants of a Cython source: one operator, bound, offset or constant changed in each.

Cython's tokens are Python's, so the standard tokenizer finds the places; comments, docstrings, imports,
declarations and the ``<type>`` of a cast are left alone.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

#: What an operator is changed into.
OPERATORS = {
    "+": "-",
    "-": "+",
    "*": "+",
    "/": "*",
    "//": "*",
    "%": "+",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "+=": "-=",
    "-=": "+=",
    "*=": "+=",
    "&": "|",
    "|": "&",
    "<<": ">>",
}
WORDS = {"and": "or", "or": "and", "min": "max", "max": "min", "True": "False", "False": "True"}

_NOT_CODE = re.compile(
    r"\s*(?:from\s|import\s|cimport\s|ctypedef\s|cdef\s+(?:enum|struct|extern)|@|#|else\s*:|try\s*:)"
)
_SIGNATURE = re.compile(r"\s*(?:cdef|cpdef|def)\b[^=]*\(")


@dataclass(frozen=True)
class Mutant:
    """One changed place.

    Attributes
    ----------
    file : str
        The source, relative to the package.
    line : int
        The line's number, from 1.
    before : str
        The line as it is.
    column, end : int
        What is replaced on the line; nothing where they are equal.
    text : str
        By what.
    """

    file: str
    line: int
    before: str
    column: int
    end: int
    text: str

    @property
    def after(self) -> str:
        """The line as it becomes."""
        return self.before[: self.column] + self.text + self.before[self.end :]

    @property
    def key(self) -> str:
        """What identifies it as long as its line stays as it is, wherever the line moves to."""
        return f"{self.file}: {self.before.strip()} => {self.after.strip()}"

    @property
    def diff(self) -> str:
        """The change as a person reads it."""
        return f"{self.file}:{self.line}\n  - {self.before.strip()}\n  + {self.after.strip()}"

    def applied(self, source: str) -> str:
        """The source with the change made.

        Raises
        ------
        ValueError
            If the line is not there any more.
        """
        lines = source.split("\n")
        if lines[self.line - 1] != self.before:
            raise ValueError(f"{self.file}:{self.line} is not {self.before!r} any more")
        lines[self.line - 1] = self.after
        return "\n".join(lines)


def mutants(file: str, source: str) -> list[Mutant]:
    """Every mutant of a source, in the order of the places."""
    lines = source.split("\n")
    made: list[Mutant] = []
    seen: set[str] = set()
    for number, start, end, text in _places(source):
        line = lines[number - 1]
        mutant = Mutant(file, number, line, start, end, text)
        if mutant.after != mutant.before and mutant.key not in seen:
            seen.add(mutant.key)
            made.append(mutant)
    return made


def _places(source: str) -> Iterator[tuple[int, int, int, str]]:
    """Line number, columns and replacement of every change."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    skipped = _declarations(tokens)
    for i, token in enumerate(tokens):
        number, start = token.start
        end = token.end[1]
        if number in skipped or token.end[0] != number:
            continue
        before, after = tokens[i - 1], tokens[i + 1] if i + 1 < len(tokens) else token
        if token.type == tokenize.OP and token.string in OPERATORS:
            operand = before.type in (tokenize.NAME, tokenize.NUMBER) or before.string in (")", "]")
            # A cast's <real>, a pointer's * and a sign have no operand before them, or no space.
            spaced = token.line[start - 1 : start] == " " and token.line[end : end + 1] == " "
            if operand and spaced and before.string not in ("return", "in", "if", "else"):
                yield number, start, end, OPERATORS[token.string]
        elif token.type == tokenize.NUMBER and before.string != ":":
            yield from ((number, start, end, text) for text in _numbers(token.string))
        elif token.type == tokenize.NAME and token.string in WORDS:
            yield number, start, end, WORDS[token.string]
        elif token.type == tokenize.NAME and token.string == "not" and after.type == tokenize.NAME:
            yield number, start, end + 1, ""
        elif token.string in ("range", "prange") and after.string == "(":
            yield from _bounds(tokens, i + 1)


def _numbers(text: str) -> list[str]:
    if re.fullmatch(r"\d+", text):
        return [str(int(text) + 1), *([str(int(text) - 1)] if int(text) > 1 else [])]
    if re.fullmatch(r"\d+\.\d*", text):
        return [repr(float(text) + 1.0)]
    return []


def _bounds(tokens: list[tokenize.TokenInfo], opening: int) -> Iterator[tuple[int, int, int, str]]:
    """A loop that stops one short, and one that starts one late."""
    depth, stop = 0, opening
    commas = []
    for stop in range(opening, len(tokens)):
        text = tokens[stop].string
        depth += (text in "([") - (text in ")]") if text else 0
        if depth == 1 and text == ",":
            commas.append(stop)
        if depth == 0:
            break
    first = opening + 1
    arguments = [first, *[comma + 1 for comma in commas]]
    ends = [*commas, stop]
    positional = [
        (a, b) for a, b in zip(arguments, ends, strict=True) if tokens[a + 1].string != "=" and a < b
    ]
    if not positional or tokens[opening].start[0] != tokens[stop].start[0]:
        return
    last = positional[1] if len(positional) > 1 else positional[0]
    number, column = tokens[last[1]].start
    yield number, column, column, " - 1"
    if len(positional) > 1:
        number, column = tokens[positional[0][1]].start
        yield number, column, column, " + 1"


def _declarations(tokens: list[tokenize.TokenInfo]) -> set[int]:
    """The numbers of the lines without code to change: declarations, imports, signatures, strings."""
    found: set[int] = set()
    logical: list[tokenize.TokenInfo] = []
    for token in tokens:
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if logical:
                line = logical[0].line
                numbers = range(logical[0].start[0], logical[-1].end[0] + 1)
                if _NOT_CODE.match(line) or _SIGNATURE.match(line) or logical[0].type == tokenize.STRING:
                    found.update(numbers)
            logical = []
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
            logical.append(token)
    return found
