"""What an audit says: how much each check looked at, and every place that is not as it should be."""

from __future__ import annotations

from typing import Any

import msgspec

SHOWN = 20
"""Findings that are kept of each check; all of them are counted."""


class AuditFinding(msgspec.Struct, frozen=True):
    """One place where the history is not sound: what should be there, and what is.

    `place` names it as narrowly as the check can: position, stream, version, table, row, column.
    """

    check: str
    place: str
    expected: str
    found: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.message} at {self.place}: expected {self.expected}, found {self.found}"


class Checked(msgspec.Struct, frozen=True):
    """What one check did: what it makes sure of, how many things it looked at, and how many it objected to."""

    name: str
    about: str
    looked_at: int
    found: int


class Seal(msgspec.Struct, frozen=True):
    """The whole history up to a position in one digest (SHA-256, hex).

    Kept elsewhere, it proves that nothing of that history was changed since, not even by somebody who can rewrite
    every table consistently.
    """

    position: int
    digest: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an audit. `findings` are the first ones of each check, in the order of the checks."""

    position: int
    """The last record that was read."""
    seal: Seal | None
    checked: tuple[Checked, ...]
    findings: tuple[AuditFinding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing at all was found."""
        return not any(check.found for check in self.checked)

    @property
    def found(self) -> int:
        """How many findings there are, those that are not shown included."""
        return sum(check.found for check in self.checked)


class Progress(msgspec.Struct, frozen=True):
    """How far an audit is: things done of those to do in the present stage."""

    stage: str
    done: int
    total: int


class Tally:
    """Counts what a check looks at, and keeps its first findings."""

    def __init__(self, check: str, about: str) -> None:
        self._check = check
        self._about = about
        self._looked_at = 0
        self._found = 0
        self.findings: list[AuditFinding] = []

    def looked_at(self, count: int = 1) -> None:
        """Count things that were looked at."""
        self._looked_at += count

    def find(self, place: str, message: str, *, expected: object, found: object) -> None:
        """Object to something."""
        self._found += 1
        if len(self.findings) < SHOWN:
            self.findings.append(AuditFinding(self._check, place, shown(expected), shown(found), message))

    @property
    def checked(self) -> Checked:
        """What became of it."""
        return Checked(self._check, self._about, self._looked_at, self._found)


def shown(value: Any) -> str:
    """A value in a finding: text as it is, bytes in hex, nothing as "nothing"."""
    if value is None:
        return "nothing"
    return value.hex() if isinstance(value, bytes) else str(value)
