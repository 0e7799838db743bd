"""Units: how a command is carried out exactly once, whatever is retried, raced or killed.

A command is one or more units; each unit is one save with its own receipt. A receipt that exists answers a repeat of
the same content with the first answer, and refuses another content (`conflicting_retry`). A lost race throws the
decision away and makes it again on fresh state, boundedly often (decisions 8, 9).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid5

import msgspec

from aggregates.event import AnyRecorded, Origin, Stream
from aggregates.outcome import Draft
from aggregates.values.decimals import exact
from aggregates.values.errors import OUTAGES, ConcurrentChange, ConflictingRetry, HistoryBroken, LedgerError
from ledger.ports import Probe
from ledger.store import mapper
from ledger.store.repository import Loaded, Repository
from ledger.store.store import ChargeIndexRow, Receipt, Reservation, StaleSave, Written
from ledger.turns import Turns

A = TypeVar("A")

ATTEMPTS = 12
"""How often a decision is made before `concurrent_change` is given back; the waits between sum to about a second."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Identity of one unit: whose it is, which command sent it, and the fingerprint of what was asked for."""

    namespace: str
    customer: str
    command_id: UUID
    causation_id: UUID
    correlation_id: UUID
    name: str
    fingerprint: str
    actor: str
    is_new: bool = False
    """Whether the id was minted for this very call, so that no receipt of it can exist yet."""

    def follow_up(self, name: str, customer: str) -> Unit:
        """A later unit of the same command: its id is derived, so that a retry finds its receipt (decision 9)."""
        return msgspec.structs.replace(
            self,
            command_id=uuid5(self.command_id, f"{name}:{customer}"),
            causation_id=self.command_id,
            customer=customer,
            name=name,
        )


class Work:
    """One attempt at a unit: the streams in hand, what is decided, and the inline rows that go with it."""

    def __init__(self, repository: Repository, origin: Origin, probe: Probe, *, trusting: bool = False) -> None:
        self._repository = repository
        self._trusting = trusting
        self.trusted = False
        """Whether a state was taken from the cache as it was: only a save can prove it then."""
        self.now = origin.at
        self.namespace = origin.namespace
        self.draft = Draft(origin, {name: _probed(name, fold, probe) for name, fold in repository.evolvers.items()})
        self.loaded: dict[UUID, Loaded] = {}
        self.charge_index: dict[UUID, ChargeIndexRow] = {}
        self.reservations: list[Reservation] = []

    def load(self, *streams: Stream) -> None:
        """Put streams in hand; those already there stay as they are."""
        missing = {stream.id: stream for stream in streams if not self.draft.holds(stream.id)}
        if not missing:
            return
        for stream in list(missing.values()) if self._trusting else ():
            known = self._repository.cached(stream)
            if known is not None:
                self.trusted = True
                self._hold(missing.pop(stream.id), known)
        wanted = list(missing.values())
        if wanted:
            for stream, entry in zip(wanted, self._repository.load_all(wanted), strict=True):
                self._hold(stream, entry)

    def _hold(self, stream: Stream, entry: Loaded) -> None:
        self.loaded[stream.id] = entry
        self.draft.hold(stream, entry.version, entry.state)

    def state(self, stream: Stream) -> Any:
        """The state of a stream, loaded when it is not in hand yet; None when it has no event."""
        self.load(stream)
        return self.draft.state(stream.id)

    def introduce(self, stream: Stream) -> None:
        """Put a stream in hand whose id was minted just now, so that nobody can have written to it."""
        self.draft.hold(stream, 0, None)


def _probed(aggregate: str, fold: Callable[[Any, AnyRecorded], Any], probe: Probe) -> Callable[[Any, AnyRecorded], Any]:
    """Every event a decision emits passes here first: where tests make a decision about credit fail."""

    def evolve(state: object, record: AnyRecorded) -> object:
        probe(f"{aggregate}.{type(record.body).__name__}")
        return fold(state, record)

    return evolve


class Done(msgspec.Struct, frozen=True):
    """What came of a unit: its answer, whether it was carried out now or before, and where the log stands."""

    answer: Any
    repeated: bool
    position: int


class Units:
    """Carries units out over one repository."""

    def __init__(
        self,
        repository: Repository,
        now: Callable[[], datetime],
        probe: Probe,
        permit: Callable[[Unit, Work], None],
    ) -> None:
        self.repository = repository
        self._permit = permit
        self._now = now
        self._probe = probe
        self._turns = Turns()

    def carry_out(self, unit: Unit, answer_type: type[A], decide: Callable[[Work], A]) -> Done:
        """Decide and save, or answer as before. Raises what the decision raises.

        Raises `ConflictingRetry` for another content, `ConcurrentChange` when the race was lost too often, and
        `HistoryBroken` when the receipt of an earlier time was changed since.

        A decision that emits nothing leaves nothing behind, no receipt either: asked again, it is decided again.

        The first attempt trusts the cache, since its save proves what it read. A refusal, or nothing to do, has no
        save to prove it: it is only believed on states fresh from the store.
        """
        lost = False
        for attempt in range(ATTEMPTS):
            try:
                with self._turns.taken((unit.namespace, unit.customer), lost=lost):
                    done = self._attempt(unit, answer_type, decide, attempt)
            except StaleSave:
                lost = True
                time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311 - jitter, not a secret
                continue
            if done is not None:
                return done
        raise ConcurrentChange(f"{unit.name} of customer {unit.customer!r}")

    def _attempt(self, unit: Unit, answer_type: type[A], decide: Callable[[Work], A], attempt: int) -> Done | None:
        """Decide and save once; None when it has to be decided on fresh states. Raises `StaleSave`."""
        earlier = self._earlier(unit, answer_type) if attempt or not unit.is_new else None
        if earlier is not None:
            return earlier
        work = Work(self.repository, self._origin(unit), self._probe, trusting=attempt == 0)
        try:
            self._permit(unit, work)
            answer = exact(decide)(work)
        except OUTAGES:
            raise
        except LedgerError:
            if work.trusted:
                return None
            raise
        if not work.draft.records:
            return None if work.trusted else Done(answer, repeated=False, position=0)
        return Done(answer, repeated=False, position=self._save(unit, work, answer))

    def _earlier(self, unit: Unit, answer_type: type[A]) -> Done | None:
        receipt = self.repository.store.receipt(unit.namespace, unit.customer, unit.command_id)
        if receipt is None:
            return None
        if not receipt.is_intact:
            place = f"receipt of command {unit.command_id}"
            raise HistoryBroken(place, f"fields of digest {receipt.digest}", "others")
        if receipt.fingerprint != unit.fingerprint:
            raise ConflictingRetry(unit.command_id)
        return Done(mapper.read_value(receipt.answer, answer_type), repeated=True, position=0)

    def _origin(self, unit: Unit) -> Origin:
        return Origin(
            namespace=unit.namespace,
            at=self._now(),
            command_id=unit.command_id,
            causation_id=unit.causation_id,
            correlation_id=unit.correlation_id,
            actor=unit.actor,
        )

    def _save(self, unit: Unit, work: Work, answer: object) -> int:
        def receipt(written: tuple[Written, ...]) -> Receipt:
            return Receipt(
                namespace=unit.namespace,
                customer=unit.customer,
                command_id=unit.command_id,
                unit=unit.name,
                fingerprint=unit.fingerprint,
                answer=msgspec.Raw(msgspec.json.encode(answer)),
                written=written,
            )

        saved = self.repository.save(
            work.draft,
            now=work.now,
            receipt=receipt,
            charge_index=list(work.charge_index.values()),
            reservations=work.reservations,
            loaded=work.loaded,
        )
        return saved.last
