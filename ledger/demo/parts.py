"""What stories have in common: the base of what they tell, and the proof they end with."""

from __future__ import annotations

import msgspec

from ledger.facade import Ledger


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the story tells. Amounts are in USD, times in UTC."""


class ViewProof(Part, frozen=True, kw_only=True):
    """A view, folded anew from the first event, against the one that was kept day by day."""

    view: str
    rows: int
    equal: bool


class Proof(Part, frozen=True, kw_only=True):
    """Views rebuilt and history verified; `findings` are what is wrong with it, one by one."""

    views: tuple[ViewProof, ...]
    sound: bool
    findings: tuple[str, ...]


def proof(ledger: Ledger) -> Proof:
    """Rebuild every view beside the one that was kept, and verify the whole history."""
    views = tuple(
        ViewProof(
            view=rebuilt.view,
            rows=rebuilt.comparison.rows if rebuilt.comparison else 0,
            equal=rebuilt.comparison is not None and rebuilt.comparison.equal,
        )
        for rebuilt in ledger.projections.rebuild()
    )
    report = ledger.audit.verify()
    return Proof(views=views, sound=report.sound, findings=tuple(str(finding) for finding in report.findings))
