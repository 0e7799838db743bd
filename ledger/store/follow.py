"""Views follow the log: catch up, build anew beside the old, compare, exchange, go back.

A page of the log is read once for all views that lag; each folds it in a transaction of its own, under its lock, and
reads its position inside. Pages end where saves end, so no view ever shows half a command. Events that no view
listens to are not even decoded, and a rebuild does not read them; it reads the next page while it folds one.

A rebuild folds from the first event into a generation of its own, catches up, compares with the live one at the
same position, and exchanges the two in one transaction; queries are answered throughout by one or the other. Killed
at any point it has changed nothing that is read; the next rebuild of the view clears away what is left of it. Of
two rebuilds of one view the newer wins, and the older stops at its next page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec

from aggregates.values.errors import PreconditionFailed, ProjectionNotFound, Unavailable
from ledger.store import mapper
from ledger.store.compare import UNREADABLE, Comparison, compared, unreadable
from ledger.store.pages import Building, Decode, Following, Page, without_cycle_collection
from ledger.store.store import Store
from projections.projection import AnyProjection, Appended, Row, Rows
from projections.stores.tables import Generation, GenerationGone, Reader, Status, Tables

PAGE = 2_000
"""Records that a view folds in one transaction while it follows."""

BUILD_PAGE = 3_000
"""Records that are read at once during a rebuild."""

FINISHING = 2
"""Views that are given their last rows and their indexes at once."""

ATTEMPTS = 100
WAIT_SECONDS = 5.0
POLL_SECONDS = 0.02
STALLED_SECONDS = 10.0


class Progress(msgspec.Struct, frozen=True):
    """How far a rebuild is: records done of those in the log, records per second, seconds left as it goes now."""

    views: tuple[str, ...]
    done: int
    total: int
    rate: int
    seconds_left: int


class Rebuilt(msgspec.Struct, frozen=True):
    """A view was built anew and is live. `comparison` is absent where the old one was of another version."""

    view: str
    version: int
    position: int
    comparison: Comparison | None


class ViewStatus(msgspec.Struct, frozen=True):
    """A generation of a view: version, what it is for, and how many positions of the log it is behind."""

    view: str
    version: int
    status: str
    position: int
    behind: int
    listens: tuple[str, ...]


class Follower:
    """Keeps the views of one store. Safe to share between threads, and beside other processes on the same store."""

    def __init__(
        self,
        store: Store,
        tables: Tables,
        projections: Sequence[AnyProjection],
        *,
        decode: Decode = mapper.decode,
        page: int = PAGE,
    ) -> None:
        self.store = store
        self.tables = tables
        self.projections: Mapping[str, AnyProjection] = {each.name: each for each in projections}
        self._decode = decode
        self._page = page
        self._following = threading.Lock()
        tables.prepare(projections)

    # ── following ────────────────────────────────────────────────────────────────────────────────────────────

    def catch_up(self, names: Sequence[str] | None = None) -> int:
        """Bring views (all by default) to the head of the log, and say where that was.

        A view whose stored version is not the one of this release is built anew first. Raises `ProjectionNotFound`.
        """
        chosen = self._chosen(names)
        head = self.store.head()
        for _ in range(ATTEMPTS):
            lagging = self._lagging(chosen, head)
            if not lagging:
                return head
            with self._following:
                try:
                    self._run(self._lagging(chosen, head), head)
                except GenerationGone:
                    continue  # exchanged or cleared away meanwhile: look again
        raise Unavailable("the views", "they were exchanged over and over while catching up")

    def ensure(self, names: Sequence[str], *, at_least: int | None = None, stale: bool = False) -> None:
        """Make views as fresh as a query asks: at the head, at least at a position, or as they are.

        `at_least` waits for whoever follows the log, for a bounded time. Raises `Unavailable` when it was too short.
        """
        if stale:
            return
        if at_least is None:
            self.catch_up(names)
            return
        chosen = self._chosen(names)
        until = time.monotonic() + WAIT_SECONDS
        while self._lagging(chosen, at_least):
            if time.monotonic() > until:
                raise Unavailable("the views", f"they did not reach position {at_least} in {WAIT_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    @contextmanager
    def reading(self, names: Sequence[str], *, at_least: int | None = None, stale: bool = False) -> Generator[Reader]:
        """Read views that are as fresh as `ensure` makes them, all at one moment."""
        bound = 0 if stale else self.store.head() if at_least is None else at_least
        with self.tables.reading() as reader:
            if self._is_fresh(reader, names, bound):
                yield reader
                return
        self.ensure(names, at_least=at_least, stale=stale)
        with self.tables.reading() as reader:
            yield reader

    def _is_fresh(self, reader: Reader, names: Sequence[str], bound: int) -> bool:
        for name in names:
            live = reader.generation(name, Status.LIVE)
            if live is None or live.position < bound or live.version != self.projections[name].version:
                return False
        return True

    def follow(self, stop: threading.Event, names: Sequence[str] | None = None) -> None:
        """Catch up whenever the log grows, until `stop` is set; for services with readers that do not catch up."""
        for _ in self.store.follow(self.catch_up(names), stop):
            self.catch_up(names)

    def status(self) -> list[ViewStatus]:
        """Every generation of every view, and how far behind it is."""
        head = self.store.head()
        return [
            ViewStatus(
                each.name,
                each.version,
                each.status.value,
                each.position,
                head - each.position,
                tuple(sorted(self.projections[each.name].listens)),
            )
            for each in self.tables.generations()
            if each.name in self.projections
        ]

    # ── building anew ────────────────────────────────────────────────────────────────────────────────────────

    def rebuild(
        self,
        names: Sequence[str] | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        compare: bool = True,
    ) -> tuple[Rebuilt, ...]:
        """Build views (all by default) anew beside the live ones, compare, and exchange them.

        What the comparison finds is reported, and healed by the exchange. Raises `ProjectionNotFound`, and
        `PreconditionFailed` when another rebuild of the same view was started meanwhile.
        """
        chosen = self._chosen(names)
        try:
            builds = [Building(self.tables, each) for each in chosen]
            self._build(builds, self.store.head(), Pace(tuple(each.name for each in chosen), progress))
            with ThreadPoolExecutor(FINISHING, "finish") as finishing:
                list(finishing.map(self._finish, builds))
            return tuple(self._exchange(build, self._compare(build) if compare else None) for build in builds)
        except GenerationGone as gone:
            raise PreconditionFailed(f"another rebuild took the place of {gone}; let it end") from gone

    def rollback(self, name: str) -> Generation:
        """Make the previous generation of a view the live one again; it catches up when it is next read.

        Raises `ProjectionNotFound`, and `PreconditionFailed` without a previous generation of this release's version.
        """
        (projection,) = self._chosen((name,))
        with self.tables.reading() as reader:
            previous = reader.generation(name, Status.PREVIOUS)
        if previous is None or previous.version != projection.version:
            was = f"is of version {previous.version}" if previous else "is not there"
            raise PreconditionFailed(
                f"view {name} cannot go back: its previous generation {was}, this release has version"
                f" {projection.version}; rebuild it instead"
            )
        live = self.tables.roll_back(projection)
        if live is None:
            raise PreconditionFailed(f"view {name} cannot go back: its previous generation is gone")
        return live

    def verify_view(self, name: str) -> Comparison:
        """Fold the events once more, and compare with the live view at its own position. Changes nothing."""
        (projection,) = self._chosen((name,))
        with self.tables.reading() as reader, without_cycle_collection():
            live = reader.generation(name, Status.LIVE)
            if live is None or live.version != projection.version:
                raise Unavailable(f"view {name}", "it has not been built by this release yet")
            expected = self._folded_anew(projection, live.position)
            return compared(projection, live.position, expected, reader.rows(projection, live))

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _chosen(self, names: Sequence[str] | None) -> list[AnyProjection]:
        for name in names or ():
            if name not in self.projections:
                raise ProjectionNotFound(name)
        return [self.projections[name] for name in names or self.projections]

    def _lagging(self, chosen: Sequence[AnyProjection], head: int) -> list[Following]:
        """The live generations among these that have not seen all up to a position, of this release's version."""
        live = {each.name: each for each in self.tables.generations() if each.status is Status.LIVE}
        for projection in chosen:
            if projection.name not in live:
                raise Unavailable(f"view {projection.name}", "its tables are gone; build it anew with `ledger rebuild`")
            if live[projection.name].version != projection.version:
                live[projection.name] = self._renewed(projection)
        return [self._follow(each, live[each.name]) for each in chosen if live[each.name].position < head]

    def _renewed(self, projection: AnyProjection) -> Generation:
        """The live generation after it was built anew, by us or by another process that began before us."""
        seen, since = -1, time.monotonic()
        while True:
            with self.tables.reading() as reader:
                live = reader.generation(projection.name, Status.LIVE)
                building = reader.generation(projection.name, Status.BUILDING)
            if live is not None and live.version == projection.version:
                return live
            if building is not None and building.position != seen:
                seen, since = building.position, time.monotonic()
            if building is None or time.monotonic() - since > STALLED_SECONDS:
                try:
                    self.rebuild((projection.name,), compare=False)
                except PreconditionFailed:
                    since = time.monotonic()  # somebody else is at it
            else:
                time.sleep(POLL_SECONDS)

    def _run(self, targets: Sequence[Following | Building], head: int) -> None:
        """Bring generations forward to a position, each page of the log read once for all of them."""
        while (after := min((target.position for target in targets), default=head)) < head:
            records = self.store.read_log(after, self._page)
            while records and records[-1].position > head:
                records.pop()
            if not records:
                return
            _fold(targets, Page(after, records, self._decode))

    def _build(self, builds: Sequence[Building], head: int, pace: Pace) -> None:
        """Fold everything up to a position, of what the views listen to."""
        for page in self._pages(frozenset[str]().union(*(build.projection.listens for build in builds)), head):
            _fold(builds, page)
            pace.tell(page.last, head)

    def _finish(self, build: Building) -> None:
        """Write what is left and make the indexes, which is work of the database: another view is written meanwhile."""
        build.write()
        self.tables.finish(build.projection, build.generation)

    def _pages(self, listens: frozenset[str], head: int) -> Iterator[Page]:
        """Pages of these stored names up to a position; while one is folded the next is read."""
        with ThreadPoolExecutor(1, "pages") as reading:
            page: Page | None = self._page_after(0, listens, head)
            while page is not None:
                coming = reading.submit(self._page_after, page.last, listens, head)
                yield page
                page = coming.result()

    def _page_after(self, after: int, listens: frozenset[str], head: int) -> Page | None:
        if after >= head:
            return None
        records = self.store.read_log(after, BUILD_PAGE, listens)
        is_last = len(records) < BUILD_PAGE or records[-1].last >= head
        last = head if is_last else records[-1].last
        return Page(after, [record for record in records if record.position <= last], self._decode, last)

    def _follow(self, projection: AnyProjection, generation: Generation) -> Following:
        return Following(self.tables, projection, generation)

    def _compare(self, build: Building) -> Comparison | None:
        """Compare a built generation with the live one, in a moment when both are at the same position."""
        projection = build.projection
        for _ in range(ATTEMPTS):
            with self.tables.reading() as reader:
                if reader.generation(projection.name, Status.LIVE) is None:
                    return None  # it was tampered with, and there is nothing to compare with
                live, built = self._both(reader, build)
                if live.version != projection.version:
                    return None
                if live.position == built.position:
                    expected, found = reader.rows(projection, built), reader.rows(projection, live)
                    return compared(projection, live.position, expected, found)
            head = max(live.position, built.position)
            self._run([self._follow(projection, built)], head)
            try:
                self._run([self._follow(projection, live)], head)
            except UNREADABLE as error:
                return unreadable(projection, live.position, error)
        raise Unavailable(f"view {projection.name}", "it kept moving on while it was compared; try again")

    def _exchange(self, build: Building, comparison: Comparison | None) -> Rebuilt:
        """Make a built generation live, once it is as far as the live one."""
        projection = build.projection
        for _ in range(ATTEMPTS):
            if self.tables.swap(projection, build.generation):
                with self.tables.reading() as reader:
                    live = reader.generation(projection.name, Status.LIVE)
                position = live.position if live else 0
                return Rebuilt(projection.name, projection.version, position, comparison)
            with self.tables.reading() as reader:
                live, built = self._both(reader, build)
            self._run([self._follow(projection, built)], live.position)
        raise Unavailable(f"view {projection.name}", "it kept moving on while it was exchanged; try again")

    def _both(self, reader: Reader, build: Building) -> tuple[Generation, Generation]:
        live = reader.generation(build.projection.name, Status.LIVE)
        built = reader.generation(build.projection.name, Status.BUILDING)
        if live is None or built is None or built.number != build.generation.number:
            raise GenerationGone(build.generation.table)
        return live, built

    def _folded_anew(self, projection: AnyProjection, position: int) -> Iterator[Row]:
        """The rows of a view up to a position as its events say: page by page where it only grows, else in memory."""
        rows = Rows(lambda _keys: {}, complete=True)
        for page in self._pages(projection.listens, position):
            entries = page.entries(projection.listens, 0)
            if isinstance(projection, Appended):
                yield from sorted(projection.fold_page(entries), key=projection.key_of)
            else:
                projection.fold_page(rows, entries)
        yield from (row for _, row in rows.all())


def _fold(targets: Sequence[Following | Building], page: Page) -> None:
    with without_cycle_collection():
        for target in targets:
            if target.position < page.last:
                target.fold(page)
        page.forget()


class Pace:
    """Tells how a rebuild goes on."""

    def __init__(self, views: tuple[str, ...], tell: Callable[[Progress], None] | None) -> None:
        self._views = views
        self._tell = tell
        self._began = time.monotonic()

    def tell(self, done: int, total: int) -> None:
        """Say how far it is, if somebody listens."""
        if self._tell is None:
            return
        milliseconds = max(1, round((time.monotonic() - self._began) * 1000))
        rate = done * 1000 // milliseconds
        self._tell(Progress(self._views, done, total, rate, (total - done) // max(1, rate)))
