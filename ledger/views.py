"""`ledger.views`: queries. Balances at any pair of times, postings, charges, current and prior runs.

Every answer is a frozen record. A query says how fresh it must be: by default it first brings its views to the head
of the log, so that it shows what was just done; `at_least=position` waits for whoever follows the log to come that
far; `stale=True` takes what there is. Balances and postings take both time axes (ledger §13): `as_of`, booked by
then (now by default), and `recorded_as_of`, an instant or a position, recorded by then (everything by default).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aggregates.invoices.refusals import InvoiceNotFound
from aggregates.values.errors import ChargeNotFound, CustomerNotFound, RunNotFound
from aggregates.values.period import timestamp
from aggregates.values.texts import why_unkeepable
from ledger.answers import ChargeView, CustomerView, Posting, RunView, charge_views, customer_view, posting, run_view
from ledger.balances import LATEST as LATEST_POSITION
from ledger.balances import VIEWS as BALANCE_VIEWS
from ledger.balances import AddressBalance, Balance, address_balance, amounts_of, figures
from ledger.context import Context
from ledger.invoice_answers import InvoiceView, invoice_view
from ledger.overlaps import Overlap, overlaps_of
from ledger.paging import Moment, Page, checked_id, checked_limit, checked_moment, invalid, page_of, read_cursor
from ledger.store.follow import Follower
from ledger.stuck import StuckCharge, stuck_charge
from projections.addresses import Address
from projections.charges import CHARGES
from projections.current_runs import CURRENT_RUNS
from projections.customers import CUSTOMERS
from projections.invoices import INVOICES
from projections.ledger_entries import LEDGER_ENTRIES
from projections.prior_runs import PRIOR_RUNS
from projections.stores.tables import Status, Where
from projections.stuck_charges import STUCK_CHARGES

RUN_VIEWS = (CURRENT_RUNS.name, PRIOR_RUNS.name)


class Views:
    """Queries of one namespace."""

    def __init__(self, context: Context, follower: Follower) -> None:
        self._context = context
        self._follower = follower

    # ── balances and postings ────────────────────────────────────────────────────────────────────────────────

    def balance(
        self,
        customer: str,
        currency: str = "USD",
        *,
        as_of: Moment | None = None,
        recorded_as_of: Moment | int | None = None,
        feature: str | None = None,
        unrestricted: bool = False,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Balance:
        """What a customer has and owes in a currency, by account (ledger §9).

        Args:
            customer: Key of an existing customer.
            currency: ISO code, or the code of a custom currency.
            as_of: Booked at or before then; now by default. A later time counts planned expiry that is due by then.
            recorded_as_of: Recorded by then: an instant, or a position of the log. Everything by default.
            feature: Only unrestricted routes and those that contain this feature.
            unrestricted: Only unrestricted routes.
            at_least: Wait until the views have come to that position, instead of bringing them to the head.
            stale: Take the views as they are.

        10.00 USD of credit that expire on 10 January, usage of 6.00 booked on 5 January and recorded on the 15th: as
        of the 10th, `breakage` is 4.00 as known now, and 10.00 as recorded by the 12th.

        Raises:
            CustomerNotFound, CurrencyNotFound: no such customer or currency.
            ValidationFailed: a time that cannot be read, or both `feature` and `unrestricted`.
            Unavailable: the views did not come to `at_least` in time.
        """
        if feature is not None and unrestricted:
            raise invalid("feature", "one_filter", "ask for one feature or for unrestricted credit, not for both")
        found = self._context.look.currency(currency)
        moment = self._as_of(as_of)
        bound, recorded = self._recorded(recorded_as_of)
        amounts, position = self._amounts(customer, found.key, moment, bound, at_least=at_least, stale=stale)
        return Balance(
            customer=customer,
            currency=found,
            as_of=moment,
            recorded_as_of=recorded,
            position=position,
            feature=feature,
            **figures(amounts, feature, unrestricted=unrestricted),
        )

    def addresses(
        self,
        customer: str,
        currency: str = "USD",
        *,
        as_of: Moment | None = None,
        recorded_as_of: Moment | int | None = None,
        at_least: int | None = None,
        stale: bool = False,
    ) -> tuple[AddressBalance, ...]:
        """The same as `balance`, address by address: account, cost basis, priority, features, tax. Zero is left out."""
        found = self._context.look.currency(currency)
        bound, _ = self._recorded(recorded_as_of)
        amounts, _ = self._amounts(customer, found.key, self._as_of(as_of), bound, at_least=at_least, stale=stale)
        ordered = sorted(amounts.items(), key=lambda each: tuple(map(str, each[0])))
        return tuple(address_balance(address, amount) for address, amount in ordered if amount)

    def entries(
        self,
        customer: str,
        currency: str | None = None,
        *,
        as_of: Moment | None = None,
        recorded_as_of: Moment | int | None = None,
        booked_from: Moment | None = None,
        account: str | None = None,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[Posting]:
        """The postings of a customer, newest booked first; ties by order of recording, newest first.

        `booked_from` is inclusive. `as_of` absent: postings dated later than now are shown too. Raises
        `CurrencyNotFound`, `ValidationFailed`.
        """
        where = [Where("namespace", "=", self._context.namespace), Where("customer", "=", customer)]
        if currency is not None:
            where.append(Where("currency", "=", self._context.look.currency(currency).key))
        if account is not None:
            where.append(Where("account", "=", account))
        if as_of is not None:
            where.append(Where("booked_at", "<=", self._as_of(as_of)))
        if booked_from is not None:
            where.append(Where("booked_at", ">=", checked_moment(booked_from, "booked_from")))
        bound, _ = self._recorded(recorded_as_of)
        if bound < LATEST_POSITION:
            where.append(Where("position", "<=", bound))
        if after is not None:
            booked, position, ordinal = read_cursor(after, (str, int, int))
            where.append(Where(_NEWEST, "<", (timestamp(booked), position, ordinal)))
        with self._follower.reading((LEDGER_ENTRIES.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(LEDGER_ENTRIES, where, order=_NEWEST, descending=True, limit=checked_limit(limit) + 1)
        return page_of(rows, limit, posting, lambda row: (row.booked_at.isoformat(), row.position, row.ordinal))

    # ── customers ────────────────────────────────────────────────────────────────────────────────────────────

    def customers(
        self, *, after: str | None = None, limit: int = 100, at_least: int | None = None, stale: bool = False
    ) -> Page[CustomerView]:
        """The customers of the namespace, by key. Raises `ValidationFailed`."""
        where = [Where("namespace", "=", self._context.namespace)]
        if after is not None:
            where.append(Where("customer", ">", *read_cursor(after, (str,))))
        with self._follower.reading((CUSTOMERS.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(CUSTOMERS, where, order=("customer",), limit=checked_limit(limit) + 1)
        return page_of(rows, limit, customer_view, lambda row: (row.customer,))

    # ── charges and runs ─────────────────────────────────────────────────────────────────────────────────────

    def charge(self, charge: UUID | str, *, at_least: int | None = None, stale: bool = False) -> ChargeView:
        """One charge. Raises `ChargeNotFound`."""
        where = [
            Where("charge", "=", checked_id(charge, ChargeNotFound)),
            Where("namespace", "=", self._context.namespace),
        ]
        with self._follower.reading((CHARGES.name, *RUN_VIEWS), at_least=at_least, stale=stale) as reader:
            rows = reader.select(CHARGES, where)
            if not rows:
                raise ChargeNotFound(charge)
            return charge_views(reader, rows)[0]

    def charges(
        self,
        customer: str | None = None,
        *,
        status: str | None = None,
        charge_type: str | None = None,
        currency: str | None = None,
        feature: str | None = None,
        settlement_mode: str | None = None,
        subscription: str | None = None,
        due_by: Moment | None = None,
        failing: bool = False,
        newest_first: bool = False,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[ChargeView]:
        """Charges in order of creation (lifecycles §18).

        `status` is a detailed status or the beginning of some (`active`, `active.payment`), `due_by` a bound on
        `advance_after`, `failing` only those whose last advance was refused. Raises `CurrencyNotFound`,
        `ValidationFailed`.
        """
        equal = {
            "customer": customer,
            "charge_type": charge_type,
            "currency": self._context.look.currency(currency).key if currency is not None else None,
            "feature": feature,
            "settlement_mode": settlement_mode,
            "subscription": subscription,
        }
        where = [Where("namespace", "=", self._context.namespace)]
        where += [Where(name, "=", value) for name, value in equal.items() if value is not None]
        where += [Where("status", "starts", status)] if status is not None else []
        where += [Where("advance_after", "<=", checked_moment(due_by, "due_by"))] if due_by is not None else []
        where += [Where("failure", "present")] if failing else []
        if after is not None:
            (created,) = read_cursor(after, (int,))
            where.append(Where("created_position", "<" if newest_first else ">", created))
        with self._follower.reading((CHARGES.name, *RUN_VIEWS), at_least=at_least, stale=stale) as reader:
            rows = reader.select(
                CHARGES, where, order=("created_position",), descending=newest_first, limit=checked_limit(limit) + 1
            )
            views = {view.charge: view for view in charge_views(reader, rows)}
        return page_of(rows, limit, lambda row: views[row.charge], lambda row: (row.created_position,))

    def stuck_charges(
        self,
        customer: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[StuckCharge]:
        """Charges whose last advance was refused, with the reason and what would free them (lifecycles §22 row 15).

        In the order in which their present reasons were recorded, the oldest first. A charge is gone from here as soon
        as it moves. Raises `ValidationFailed`.
        """
        where = [Where("namespace", "=", self._context.namespace)]
        where += [Where("customer", "=", customer)] if customer is not None else []
        where += [Where("position", ">", *read_cursor(after, (int,)))] if after is not None else []
        with self._follower.reading((STUCK_CHARGES.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(STUCK_CHARGES, where, order=("position",), limit=checked_limit(limit) + 1)
        return page_of(rows, limit, stuck_charge, lambda row: (row.position,))

    def current_runs(
        self,
        customer: str | None = None,
        *,
        charge: UUID | str | None = None,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[RunView]:
        """The runs that charges are working on, at most one each, in order of their start."""
        asked: dict[str, Any] = {"customer": customer, "charge": charge, "after": after, "limit": limit}
        return self._runs(CURRENT_RUNS.name, [], **asked, at_least=at_least, stale=stale)

    def prior_runs(
        self,
        customer: str | None = None,
        *,
        charge: UUID | str | None = None,
        voided: bool | None = None,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[RunView]:
        """The runs that charges have done with, in order of their start; voided ones too unless `voided` is False."""
        where = [Where("ended_at", "present")]
        where += [Where("voided", "=", voided)] if voided is not None else []
        asked: dict[str, Any] = {"customer": customer, "charge": charge, "after": after, "limit": limit}
        return self._runs(PRIOR_RUNS.name, where, **asked, at_least=at_least, stale=stale)

    def run(self, run: UUID | str, *, at_least: int | None = None, stale: bool = False) -> RunView:
        """One run, current or prior. Raises `RunNotFound`."""
        wanted = Where("run", "=", checked_id(run, RunNotFound))
        where = [wanted, Where("namespace", "=", self._context.namespace)]
        with self._follower.reading((PRIOR_RUNS.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(PRIOR_RUNS, where)
        if not rows:
            raise RunNotFound(run)
        return run_view(rows[0])

    def _runs(
        self,
        name: str,
        where: Sequence[Where],
        *,
        customer: str | None,
        charge: UUID | str | None,
        after: str | None,
        limit: int,
        at_least: int | None,
        stale: bool,
    ) -> Page[RunView]:
        projection = CURRENT_RUNS if name == CURRENT_RUNS.name else PRIOR_RUNS
        conditions = [Where("namespace", "=", self._context.namespace), *where]
        if customer is not None:
            conditions.append(Where("customer", "=", customer))
        if charge is not None:
            conditions.append(Where("charge", "=", checked_id(charge, ChargeNotFound)))
        if after is not None:
            (created,) = read_cursor(after, (int,))
            conditions.append(Where("created_position", ">", created))
        with self._follower.reading((name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(projection, conditions, order=("created_position",), limit=checked_limit(limit) + 1)
        return page_of(rows, limit, run_view, lambda row: (row.created_position,))

    # ── invoices ─────────────────────────────────────────────────────────────────────────────────────────────

    def invoice(self, invoice: UUID | str, *, at_least: int | None = None, stale: bool = False) -> InvoiceView:
        """One invoice. Raises `InvoiceNotFound`."""
        where = [
            Where("invoice", "=", checked_id(invoice, InvoiceNotFound)),
            Where("namespace", "=", self._context.namespace),
        ]
        with self._follower.reading((INVOICES.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(INVOICES, where)
        if not rows:
            raise InvoiceNotFound(invoice)
        return invoice_view(rows[0])

    def invoices(
        self,
        customer: str | None = None,
        *,
        status: str | None = None,
        number: str | None = None,
        overdue_on: Moment | None = None,
        newest_first: bool = False,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[InvoiceView]:
        """Invoices in order of creation, deleted ones included (ARCHITECTURE §9).

        `status` is a status or the beginning of some (`draft`, `payment_processing`), `number` that of the document,
        `overdue_on` a time: what waits for payment and was due before that day, UTC. Raises `ValidationFailed`.
        """
        where = [Where("namespace", "=", self._context.namespace)]
        where += [Where("customer", "=", customer)] if customer is not None else []
        where += [Where("status", "starts", status)] if status is not None else []
        where += [Where("number", "=", number)] if number is not None else []
        if overdue_on is not None:
            day = checked_moment(overdue_on, "overdue_on").date().isoformat()
            where += [Where("meta_status", "=", "payment_processing"), Where("due_date", "<", day)]
        if after is not None:
            (created,) = read_cursor(after, (int,))
            where.append(Where("created_position", "<" if newest_first else ">", created))
        with self._follower.reading((INVOICES.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(
                INVOICES, where, order=("created_position",), descending=newest_first, limit=checked_limit(limit) + 1
            )
        return page_of(rows, limit, invoice_view, lambda row: (row.created_position,))

    def overlaps(
        self, customer: str | None = None, *, at_least: int | None = None, stale: bool = False
    ) -> tuple[Overlap, ...]:
        """Time that two runs of a charge have billed, as an invoice could not be corrected (lifecycles §22 row 22).

        January was billed with 31.00 and the charge cut to 10 days under `replace`: 1 to 11 January, 31.00 and again
        10.00.
        """
        with self._follower.reading((PRIOR_RUNS.name,), at_least=at_least, stale=stale) as reader:
            return tuple(overlaps_of(reader, self._context.namespace, customer))

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _amounts(
        self, customer: str, currency: str, as_of: datetime, bound: int, *, at_least: int | None, stale: bool
    ) -> tuple[dict[Address, Decimal], int]:
        """Amounts by address, and the position up to which they count."""
        if why_unkeepable(customer):
            raise CustomerNotFound(customer)
        with self._follower.reading(BALANCE_VIEWS, at_least=at_least, stale=stale) as reader:
            lives = [reader.generation(name, Status.LIVE) for name in BALANCE_VIEWS]
            known = min(live.position if live else 0 for live in lives)
            whose = (self._context.namespace, customer, currency)
            amounts = amounts_of(reader, whose, as_of, min(bound, known))
        if amounts is None:
            self._context.look.customer(customer)  # an unknown customer is not a customer without postings
        return amounts or {}, min(bound, known)

    def _as_of(self, moment: Moment | None) -> datetime:
        return self._context.now() if moment is None else checked_moment(moment, "as_of")

    def _recorded(self, bound: Moment | int | None) -> tuple[int, datetime | None]:
        """A bound on the recorded axis as a position, and as the instant it was given as (decision 7)."""
        if bound is None:
            return LATEST_POSITION, None
        if isinstance(bound, int):
            return bound, None
        moment = checked_moment(bound, "recorded_as_of")
        return self._follower.store.position_at(moment), moment


_NEWEST = ("booked_at", "position", "ordinal")
