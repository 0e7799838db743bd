"""The small world of charges, kept in a store: every command is one save with its receipt and its inline rows."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates import customers
from aggregates.charges import decisions
from aggregates.charges.intent import SettlementMode
from aggregates.charges.requests import Bounds, FlatFeeTerms, NewFlatFee
from aggregates.charges.state import Charge
from aggregates.customers import CustomerCreated, Profile
from aggregates.event import Origin
from aggregates.lifecycle import Status
from aggregates.outcome import Draft
from aggregates.values.period import timestamp
from ledger.audit.check import Check
from ledger.audit.checks import CHECKS
from ledger.audit.report import Report, Seal
from ledger.audit.telling import Histories
from ledger.audit.verify import Tell, verify
from ledger.domain import AGGREGATES
from ledger.store.follow import Follower
from ledger.store.open import open_store
from ledger.store.repository import Repository
from ledger.store.store import ChargeIndexRow, Receipt, Reservation, Store, Written
from projections.catalogue import PROJECTIONS
from projections.stores.open import open_views
from tests.given import CUSTOMER, NAMESPACE
from tests.support.charging import USD, World, new_purchase, new_usage, usage_terms


class StoredWorld(World):
    """A world whose records lie in a store, and views beside them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.store: Store = open_store(url)
        self.repository = Repository(self.store, AGGREGATES)
        self.follower = Follower(self.store, open_views(url), PROJECTIONS)

    def create_customer(self, at: str = "2025-12-01") -> None:
        """The customer's own stream."""
        command = self.mint()
        origin = Origin(
            namespace=NAMESPACE,
            at=timestamp(at),
            command_id=command,
            causation_id=command,
            correlation_id=command,
            actor="test",
        )
        draft = Draft(origin, self.repository.evolvers)
        stream = customers.stream(NAMESPACE, CUSTOMER)
        draft.hold(stream, 0, None)
        draft.emit(stream, CustomerCreated(key=CUSTOMER, name="Acme Inc.", profile=Profile()))
        self._save(draft)

    def verify(
        self, checks: Sequence[type[Check]] = CHECKS, *, progress: Tell | None = None, seal: Seal | None = None
    ) -> Report:
        """Everything the audit checks, or part of it."""
        return verify(self.repository, self.follower, checks=checks, progress=progress, kept=seal)

    @property
    def histories(self) -> Histories:
        """Histories told from the store."""
        return Histories(self.store, NAMESPACE)

    def close(self) -> None:
        """Give files and connections back."""
        self.follower.tables.close()
        self.store.close()

    def _keep(self, draft: Draft) -> None:
        if draft.records:
            self._save(draft)
        super()._keep(draft)

    def _save(self, draft: Draft) -> None:
        loaded = {held.stream.id: self.repository.load(held.stream) for held in draft.read()}
        rows: dict[UUID, ChargeIndexRow] = {}
        reservations: list[Reservation] = []
        for record in draft.records:
            charge = draft.state(record.stream)
            if isinstance(charge, Charge):
                rows[charge.id] = ChargeIndexRow(*decisions.index_row(charge), 0)
                reservations += [Reservation(*held) for held in decisions.reservations(charge, record.body)]
        origin = draft.origin

        def receipt(written: tuple[Written, ...]) -> Receipt:
            return Receipt(
                namespace=origin.namespace,
                customer=CUSTOMER,
                command_id=origin.command_id,
                unit="test",
                fingerprint="00" * 32,
                answer=msgspec.Raw(b"{}"),
                written=written,
            )

        self.repository.save(
            draft,
            now=origin.at,
            receipt=receipt,
            charge_index=list(rows.values()),
            reservations=reservations,
            loaded=loaded,
        )


def small_history(world: StoredWorld) -> dict[str, UUID]:
    """Two months of one customer with a bit of everything; the charges by what they are."""
    world.create_customer()
    (gift,) = world.create(
        new_purchase("10", expires_at=timestamp("2026-06-01"), key="gift", priority=1), at="2025-12-01"
    )
    world.advance(gift, at="2025-12-01")
    (usage,) = world.create(new_usage(unique_reference_id="january"), at="2025-12-02")
    world.advance(usage, at="2026-01-01")
    world.use(15)
    world.advance(usage, at="2026-02-01")
    world.use(4, time="2026-01-20", stored_at="2026-02-02")
    world.advance(usage, at="2026-02-04")
    (bought,) = world.create(new_purchase("100", kind="external", initial_status="created"), at="2026-02-05")
    world.advance(bought, at="2026-02-05")
    world.pay(bought, "authorized", at="2026-02-06")
    world.pay(bought, "paid", at="2026-02-07")
    (february,) = world.create(
        new_usage(usage_terms("2026-02-01", "2026-03-01"), unique_reference_id="february"), at="2026-02-05"
    )
    world.advance(february, at="2026-02-05")
    world.use(7, time="2026-02-10")
    world.advance(february, at="2026-03-01")
    world.extend(february, "2026-03-11", at="2026-03-02")
    world.advance(february, at="2026-03-11")
    world.advance(february, at="2026-03-14")
    (dropped,) = world.create(new_usage(usage_terms("2026-02-01", "2026-03-01")), at="2026-02-05")
    world.advance(dropped, at="2026-03-01")
    world.set_override(dropped, usage_terms("2026-02-01", "2026-02-15"), at="2026-03-02")
    world.advance(dropped, at="2026-03-02")
    world.delete(dropped, at="2026-03-03")
    (deleted,) = world.create(new_usage(usage_terms("2026-02-01", "2026-03-01")), at="2026-02-05")
    world.advance(deleted, at="2026-03-01")
    world.delete(deleted, at="2026-03-03")
    fees = [
        NewFlatFee(
            customer=CUSTOMER,
            currency=USD,
            settlement_mode=SettlementMode.CREDIT_ONLY,
            terms=FlatFeeTerms(
                name="Fee",
                service_period=Bounds(timestamp("2026-02-01"), timestamp("2026-03-01")),
                amount=Decimal(10),
                pro_rating="prorate_prices",
            ),
        )
        for _ in range(2)
    ]
    fee, deleted_fee = world.create(*fees, at="2026-01-20")
    for each in (fee, deleted_fee):
        world.advance(each, at="2026-02-01")
    world.shrink(fee, "2026-02-10", at="2026-02-05")
    world.delete(deleted_fee, at="2026-02-06")
    world.void(bought, at="2026-03-15")
    assert world.charge(usage).status is Status.FINAL
    return {
        "gift": gift,
        "usage": usage,
        "bought": bought,
        "february": february,
        "dropped": dropped,
        "deleted": deleted,
        "fee": fee,
    }
