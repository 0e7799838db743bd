"""Verify: read the history once, show it to every check, and report what they found.

The log is read in pages, save by save. Then the streams of pools, charges and invoices are read, a few at a time, up to
where the log was read, so that what is written meanwhile disturbs nobody; then the stored usage, in pages and once more
meter by meter, in the chunks in which it came. Memory holds one head per stream, and of usage what one chunk stored.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from uuid import UUID

from aggregates.charges.events import RealizationRunOpened
from aggregates.event import AnyRecorded
from aggregates.invoices.events import LineUpdated
from ledger.audit import usage_chain
from ledger.audit.check import BROKEN, ChargeStreams, Check, Evidence, InvoiceStreams, Seen, broken, uses
from ledger.audit.checks import CHECKS
from ledger.audit.log import Chains, Sealed
from ledger.audit.report import Progress, Report, Seal
from ledger.metering.usage import position_of
from ledger.ports import Meter
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.repository import Repository
from ledger.store.store import LogRecord

PAGE = 5_000
"""Records of a page of the log."""
BATCH = 100
"""Charges that are read at once."""

Tell = Callable[[Progress], None]


def verify(
    repository: Repository,
    follower: Follower,
    *,
    checks: Sequence[type[Check]] = CHECKS,
    progress: Tell | None = None,
    kept: Seal | None = None,
    meter: Meter | None = None,
) -> Report:
    """Run checks over the whole history. Raises `Unavailable` when the store does not answer, and nothing else."""
    assert Chains in checks, "the chains lead to the streams that other checks look at"
    evidence = Evidence(repository, follower, kept, meter)
    return _Verification(evidence, [check(evidence) for check in checks], progress).run()


class _Verification:
    """One audit under way."""

    def __init__(self, evidence: Evidence, checks: Sequence[Check], progress: Tell | None) -> None:
        self._evidence = evidence
        self._checks = checks
        self._tell = progress
        self._decode = _decoded if any(check.deep for check in checks) else _unread

    def run(self) -> Report:
        self._log()
        self._pools()
        self._charges()
        self._invoices()
        self._usage()
        self._chunks()
        for number, check in enumerate(self._checks):
            check.end()
            self._progress("tables", number + 1, len(self._checks))
        seals = [check.seal for check in self._checks if isinstance(check, Sealed)]
        return Report(
            position=self._evidence.position,
            seal=seals[0] if seals else None,
            checked=tuple(check.tally.checked for check in self._checks),
            findings=tuple(finding for check in self._checks for finding in check.tally.findings),
        )

    def _log(self) -> None:
        """Show the log to the checks that look at it, up to where it ended when the audit began."""
        evidence, decode = self._evidence, self._decode
        by_page, by_save = self._having("page"), self._having("save")
        while evidence.position < evidence.began_at:
            rows = evidence.store.read_log(evidence.position, PAGE)
            if not rows:
                break
            page = [Seen(row, decode(row)) for row in rows]
            for check in by_page:
                check.page(page)
            saves = [list(save) for _, save in groupby(page, key=_last)]
            for check in by_save:
                for save in saves:
                    check.save(save)
            # A position that was tampered with must not make the reading stand still.
            evidence.position = max(rows[-1].position, evidence.position + 1)
            self._progress("log", evidence.position, max(evidence.began_at, evidence.position))

    def _pools(self) -> None:
        checks = self._having("pool")
        pools = self._streams("credit_pool") if checks else []
        for number, pool in enumerate(pools):
            for stream, records in self._read([pool]).items():
                for check in checks:
                    with _guarded(check, f"stream {stream}"):
                        check.pool(stream, records)
            self._progress("pools", number + 1, len(pools))

    def _charges(self) -> None:
        checks = self._having("charge")
        charges = self._streams("charge") if checks else []
        for start in range(0, len(charges), BATCH):
            for streams in self._with_runs(charges[start : start + BATCH]):
                for check in checks:
                    with _guarded(check, f"stream {streams.charge}"):
                        check.charge(streams)
            self._progress("charges", min(start + BATCH, len(charges)), len(charges))

    def _invoices(self) -> None:
        checks = self._having("invoice")
        invoices = self._streams("invoice") if checks else []
        for start in range(0, len(invoices), BATCH):
            histories = self._read(invoices[start : start + BATCH])
            shown = {invoice: _shown(records) for invoice, records in histories.items()}
            runs = self._read([run for each in shown.values() for run in each])
            for invoice, records in histories.items():
                of_lines = {run: runs[run] for run in shown[invoice] if run in runs}
                for check in checks:
                    with _guarded(check, f"stream {invoice}"):
                        check.invoice(InvoiceStreams(invoice, records, of_lines))
            self._progress("invoices", min(start + BATCH, len(invoices)), len(invoices))

    def _usage(self) -> None:
        """Show the stored usage, up to where it ended when this began."""
        checks, store = self._having("usage"), self._evidence.usage
        if not checks or store is None:
            return
        newest, after = store.newest(), 0
        while after < newest and (rows := store.kept(after, limit=PAGE)):
            for check in checks:
                check.usage(rows)
            # A place that was tampered with must not make the reading stand still.
            after = max(rows[-1].place, after + 1)
            self._progress("usage", position_of(min(after, newest)), position_of(newest))

    def _chunks(self) -> None:
        """Show the stored usage meter by meter, as it was stored."""
        checks, store = self._having("chunk"), self._evidence.usage
        if not checks or store is None:
            return
        heads = store.heads()
        read, total, told = 0, sum(head.position for head in heads), 0
        for head in heads:
            for chunk in usage_chain.chunks(store, head):
                for check in checks:
                    check.chunk(chunk)
                told += 1 + len(chunk.links)
                if told >= PAGE:
                    told = 0
                    self._progress("chunks", read + chunk.position, total)
            read += head.position
        if heads:
            self._progress("chunks", read, total)

    def _with_runs(self, charges: Sequence[UUID]) -> Iterator[ChargeStreams]:
        """Charges with the runs they opened, where all of it can be read."""
        histories = self._read(charges)
        opened = {charge: _opened(records) for charge, records in histories.items()}
        runs = self._read([run for each in opened.values() for run in each])
        for charge, records in histories.items():
            if all(run in runs for run in opened[charge]):
                yield ChargeStreams(charge, records, {run: runs[run] for run in opened[charge]})

    def _read(self, streams: Sequence[UUID]) -> dict[UUID, list[AnyRecorded]]:
        """Events of streams up to where the log was read. A stream with one that cannot be read is left out.

        `events` reports the one; half a stream would only be reported again, as something else.
        """
        readable: dict[UUID, list[AnyRecorded]] = {}
        for stream, rows in self._evidence.store.read_streams(streams).items():
            head = self._evidence.heads.get(stream)
            records = [_decoded(row) for row in rows if head is not None and row.version <= head.version]
            found = [record for record in records if record is not None]
            if len(found) == len(records):
                readable[stream] = found
        return readable

    def _streams(self, aggregate: str) -> list[UUID]:
        return [stream for stream, head in self._evidence.heads.items() if head.aggregate == aggregate]

    def _having(self, method: str) -> list[Check]:
        return [check for check in self._checks if uses(check, method)]

    def _progress(self, stage: str, done: int, total: int) -> None:
        if self._tell is not None:
            self._tell(Progress(stage, done, total))


@contextmanager
def _guarded(check: Check, place: str) -> Generator[None]:
    """A history that was tampered with may trip a check over; that is a finding, and the audit goes on."""
    try:
        yield
    except BROKEN as error:
        check.find(place, "check could not be carried out", expected="a readable history", found=broken(error))


def _last(seen: Seen) -> int:
    return seen.row.last


def _opened(records: Sequence[AnyRecorded]) -> list[UUID]:
    return [record.body.run_id for record in records if isinstance(record.body, RealizationRunOpened)]


def _shown(records: Sequence[AnyRecorded]) -> list[UUID]:
    """The runs that lines of an invoice show, or did."""
    shown = (record.body.run_id for record in records if isinstance(record.body, LineUpdated))
    return list(dict.fromkeys(run for run in shown if run is not None))


def _decoded(row: LogRecord) -> AnyRecorded | None:
    try:
        return mapper.decode(row.name, row.data)
    except BROKEN:
        # Bytes of another shape, or of a transaction that does not balance: `events` says so.
        return None


def _unread(row: LogRecord) -> None:
    """The record where no check looks into events."""
