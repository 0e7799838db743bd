"""`ledger.projections`: how far the views are, and building them anew beside the live ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.store.compare import Comparison
from ledger.store.follow import Follower, Progress, Rebuilt, ViewStatus
from projections.stores.tables import Generation


class Projections:
    """Status, rebuild, roll-back."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def status(self) -> list[ViewStatus]:
        """Every generation of every view, and how many positions of the log it is behind."""
        return self._follower.status()

    def versions(self) -> dict[str, int]:
        """Every view of this release and the version it has there."""
        return {name: projection.version for name, projection in self._follower.projections.items()}

    def catch_up(self) -> int:
        """Bring every view to the head of the log; the position where that was."""
        return self._follower.catch_up()

    def rebuild(
        self, names: Sequence[str] | None = None, *, progress: Callable[[Progress], None] | None = None
    ) -> tuple[Rebuilt, ...]:
        """Build views (all by default) anew, compare them with the live ones key by key, and exchange them.

        Queries are answered throughout; killed at any point, nothing that is read has changed. Raises
        `ProjectionNotFound`, `PreconditionFailed` when another rebuild of the same view came in between.
        """
        return self._follower.rebuild(names, progress=progress)

    def rollback(self, name: str) -> Generation:
        """Make the generation before the last rebuild the live one again."""
        return self._follower.rollback(name)

    def verify(self, name: str) -> Comparison:
        """Compare a view with a fold from the first event, without changing it."""
        return self._follower.verify_view(name)
