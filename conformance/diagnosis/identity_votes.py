"""What the identities of an implementation say, and which output they leave as the wrong one.

An identity of one output with itself (another batch order, say) that is broken shows that this output is
wrong. One between several outputs, the forward function's among them, shows that some of them are: of
three numbers the one that differs from two equal ones, unless an output that is known to be wrong accounts
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: A function and its output, written ``conv_backward.dW``.
Name = str


@dataclass(frozen=True)
class Vote:
    """One identity that an implementation breaks.

    Attributes
    ----------
    identity : str
        The identity.
    outputs : tuple of str
        The output it is of; several where it is between them.
    text : str
        What does not hold, with the numbers.
    groups : tuple of tuple of str
        For an identity between outputs: those that agree with one another, the largest group first.
    """

    identity: str
    outputs: tuple[Name, ...]
    text: str
    groups: tuple[tuple[Name, ...], ...] = ()


@dataclass
class Ballot:
    """The votes of all identities of one function on one case, and the identities that held."""

    votes: list[Vote] = field(default_factory=list)
    held: dict[str, None] = field(default_factory=dict)
    #: Outputs of which nothing could be asked: they are no arrays of the right shape.
    unfit: dict[Name, None] = field(default_factory=dict)

    def add(self, identity: str, votes: list[Vote] | None) -> None:
        """Count a draw of an identity: the votes it gives, none if it held, None if it was not asked."""
        if votes is None:
            return
        known = {(v.identity, v.outputs) for v in self.votes}
        self.votes += [v for v in votes if (v.identity, v.outputs) not in known]
        if any(v.identity == identity for v in self.votes):
            self.held.pop(identity, None)
        else:
            self.held[identity] = None

    @property
    def shown(self) -> list[Name]:
        """The outputs that are wrong, whatever the others are."""
        return _once(v.outputs[0] for v in self.votes if not v.groups)

    @property
    def suspects(self) -> list[Name]:
        """The outputs of which one at least is wrong, where none is shown to be."""
        return _once(name for minority, _ in self._split() for name in minority)

    def _split(self) -> Iterator[tuple[list[Name], list[Name]]]:
        """Of each identity between outputs those in the minority, and the majority, if there is one."""
        shown = set(self.shown)
        for vote in self.votes:
            # Those that are wrong by themselves account for their own difference from the rest.
            groups = [left for group in vote.groups if (left := [n for n in group if n not in shown])]
            if len(groups) > 1:
                most = max(map(len, groups))
                agreeing = [group for group in groups if len(group) == most]
                majority = agreeing[0] if len(agreeing) == 1 else []
                yield [n for group in groups if group is not majority for n in group], majority

    @property
    def accused(self) -> list[Name]:
        """Shown to be wrong, or suspected."""
        return _once([*self.shown, *self.suspects])

    def lines(self) -> list[str]:
        """The ballot for a terminal; empty if no identity could be asked."""
        if not self.votes and not self.held:
            return []
        found = [f"identities: {self.verdict()}"]
        found += [f"  {vote.text}" for vote in self.votes]
        if self.votes and self.held:
            found.append(f"  hold: {', '.join(self.held)}")
        if self.unfit:
            found.append(f"  not asked of {_listed(list(self.unfit))}, for its shape")
        return found

    def verdict(self) -> str:
        """Which output is wrong, in one sentence without a full stop."""
        if not self.votes:
            return f"all hold on integers ({', '.join(self.held)})"
        parts = [f"{_listed(self.shown)} wrong"] if self.shown else []
        for minority, majority in self._split():
            if not majority:
                parts.append(f"one of {_listed(minority)} wrong")
                continue
            # The gradients of one function may agree because they are wrong in the same way.
            together = len({name.partition(".")[0] for name in majority}) == 1
            unless = f", unless {_listed(majority)} are so in the same way" if together else ""
            parts.append(f"{_listed(minority)} wrong by majority{unless}")
        return "; ".join(dict.fromkeys(parts))


def _listed(names: list[Name]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _once(names: Iterable[Name]) -> list[Name]:
    return list(dict.fromkeys(names))
