"""Usage that is stored after the final run, through the facade, over every store (decision 24; run rating R13)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from aggregates.lifecycle import Status
from aggregates.policies import LateUsage, Policies
from aggregates.rating.prices import UnitPrice
from aggregates.runs.events import RunType
from aggregates.values.decimals import text
from aggregates.values.errors import ActiveRunAlreadyExists, NoLateUsage
from ledger.prices import unit, volume
from tests.application.late import BY_INVOICE, Late

CREDIT_ONLY = "credit_only"


@pytest.fixture
def late(store_url: str) -> Iterator[Late]:
    with Late(store_url) as scene:
        yield scene
        scene.sound()


def under(url: str, said: str) -> Late:
    """A ledger with that policy of late usage."""
    return Late(url, msgspec.structs.replace(Policies.standard(), late_usage=LateUsage.parse(said)))


def balances(late: Late) -> dict[str, str]:
    found = late.ledger.views.balance("acme")
    names = ("fbo", "receivable_open", "accrued", "earnings", "wash")
    return {name: text(getattr(found, name).normalize()) for name in names if getattr(found, name)}


# ── settled from credit ──────────────────────────────────────────────────────────────────────────────────────


def test_late_usage_takes_credit_like_any_other_and_the_rest_is_advance(late: Late) -> None:
    """100 of credit, 8 units at 10 are 80; 3 more, late, are 30: 20 from credit, 10 of advance."""
    charge = late.january(CREDIT_ONLY)
    late.ledger.credits.grant("acme", "100")
    late.use(8)
    late.closed()
    assert late.figures(charge) == [("final_realization", "80.00", "80.00")]

    late.later(3)

    assert late.figures(charge) == [("final_realization", "80.00", "80.00"), ("late_adjustment", "30.00", "30.00")]
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    assert late.ledger.views.balance("acme").advance == -10
    assert late.ledger.views.charge(charge.id).totals.credits_total == 110
    assert late.runs(charge)[1].pre_line_quantity == 8


def test_the_worker_finds_nothing_twice_and_rests(late: Late) -> None:
    charge = late.january(CREDIT_ONLY)
    late.use(8)
    late.closed()
    late.later(3)
    before = late.ledger.store.head()

    late.worked("2026-03-01T00:02:00Z", "2026-03-01T01:00:00Z", "2026-03-05T00:00:00Z")

    assert late.ledger.store.head() == before
    assert len(late.runs(charge)) == 2


def test_usage_counts_once_it_has_been_stored_for_a_minute(late: Late) -> None:
    """What is stored this minute may still have companions on their way (decision 16)."""
    charge = late.january(CREDIT_ONLY)
    late.use(8)
    late.closed()
    late.at("2026-03-01T00:00:00Z")
    late.use(3)

    late.worked("2026-03-01T00:01:00Z")
    assert len(late.runs(charge)) == 1
    late.worked("2026-03-01T00:01:01Z")

    assert late.runs(charge)[1].stored_at_lt is not None
    assert late.figures(charge)[1] == ("late_adjustment", "30.00", "30.00")


def test_usage_of_another_period_or_within_the_collection_interval_is_not_late(late: Late) -> None:
    charge = late.january(CREDIT_ONLY)
    late.use(8)
    late.worked("2026-02-01T00:00:00Z")
    late.at("2026-02-02T23:59:59Z")
    late.use(1)
    late.at("2026-02-20T00:00:00Z")
    late.use(5, "2026-02-10T00:00:00Z")

    late.worked("2026-02-20T00:05:00Z")

    assert late.figures(charge) == [("final_realization", "90.00", "90.00")]
    assert late.ledger.usage.late("acme").items == ()


def test_the_minimum_is_taken_back_as_usage_comes(late: Late) -> None:
    """Minimum 100, 8 units at 10: a ninth, late, changes nothing that is paid; 12 units are 20 more (run rating)."""
    price = UnitPrice(amount=Decimal(10), minimum_amount=Decimal(100))
    charge = late.january(CREDIT_ONLY, price=price)
    late.use(8)
    late.closed()

    late.later(1)
    assert late.figures(charge)[1] == ("late_adjustment", "0.00", "0")
    late.later(3, "2026-03-02")

    assert late.figures(charge)[2] == ("late_adjustment", "20.00", "20.00")
    assert late.rated(charge) == 120


def test_what_changes_no_figure_makes_no_run_and_is_not_looked_at_again(late: Late) -> None:
    """Usage of 0: no line results, only the fact that somebody looked (run rating R13)."""
    charge = late.january(CREDIT_ONLY)
    late.use(8)
    late.closed()

    late.later(0)
    before = late.ledger.store.head()
    late.worked("2026-03-01T00:03:00Z")

    assert len(late.runs(charge)) == 1
    assert late.ledger.store.head() == before
    assert late.ledger.usage.late("acme").items == ()


def test_usage_falls_and_credit_comes_back_newest_run_first(late: Late) -> None:
    """80 and 30 are taken; 6 units less are 60: all of the 30, then 30 of the 80."""
    charge = late.january(CREDIT_ONLY)
    late.ledger.credits.grant("acme", "200")
    late.use(8)
    late.closed()
    late.later(3)

    late.later(-6, "2026-03-02")

    assert [credit for _, _, credit in late.figures(charge)] == ["50.00", "0.00", "0"]
    assert late.rated(charge) == 50
    assert late.ledger.views.balance("acme").fbo == 150


def test_a_final_run_that_starts_late_is_followed_by_what_came_meanwhile(late: Late) -> None:
    """The worker was away until March: what was stored in February counts at once, in a run of its own."""
    charge = late.january(CREDIT_ONLY)
    late.use(8)
    late.at("2026-02-20T00:00:00Z")
    late.use(3)

    late.worked("2026-03-01T00:00:00Z")

    assert late.figures(charge) == [("final_realization", "80.00", "80.00"), ("late_adjustment", "30.00", "30.00")]
    late.worked("2026-03-01T00:00:00Z")
    assert len(late.runs(charge)) == 2


# ── by invoice ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_late_usage_adds_is_invoiced_and_the_charge_is_final_again_when_it_is_paid(late: Late) -> None:
    """8 units are an invoice of 80; 3 more one of 30, of which 20 of new credit pay 20."""
    charge = late.january()
    late.use(8)
    late.closed()
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    late.ledger.credits.grant("acme", "20", effective_at="2026-01-01T00:00:00Z")

    late.later(3)

    first, second = late.ledger.invoices.list("acme")
    assert [first.totals.total, second.totals.total] == [80, 10]
    assert second.totals.credits_total == 20
    assert second.lines[0].content.quantity == 3
    assert late.ledger.charges.get(charge.id).status is Status.AWAITING_PAYMENT_SETTLEMENT
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    assert late.rated(charge) == 110


def test_late_usage_of_a_charge_that_is_not_paid_yet_keeps_it_waiting(late: Late) -> None:
    charge = late.january()
    late.use(8)
    late.closed()

    late.later(3)

    assert [invoice.totals.total for invoice in late.ledger.invoices.list("acme")] == [80, 30]
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


def test_what_is_stored_while_an_adjustment_waits_for_approval_is_adjusted_after_it(store_url: str) -> None:
    with Late(store_url, auto_approve=False) as late:
        charge = late.january()
        late.use(8)
        late.closed()
        [first] = late.ledger.invoices.list("acme")
        late.ledger.invoices.approve(first.id)
        late.later(3)
        late.later(2, "2026-03-02")
        assert len(late.runs(charge)) == 2
        with pytest.raises(ActiveRunAlreadyExists):
            late.ledger.charges.bill_late_usage(charge.id)

        late.ledger.invoices.approve(late.ledger.invoices.list("acme")[1].id)
        late.worked("2026-03-02T00:05:00Z")
        late.ledger.invoices.approve(late.ledger.invoices.list("acme")[2].id)
        late.paid()

        assert [total for _, total, _ in late.figures(charge)] == ["80.00", "30.00", "20.00"]
        assert late.ledger.charges.get(charge.id).status is Status.FINAL
        late.sound()


def test_a_draft_of_late_usage_that_is_deleted_leaves_it_unbilled_until_somebody_bills_it(store_url: str) -> None:
    with Late(store_url, auto_approve=False) as late:
        charge = late.january()
        late.use(8)
        late.closed()
        late.ledger.invoices.approve(late.ledger.invoices.list("acme")[0].id)
        late.paid()
        late.later(3)

        late.ledger.invoices.delete(late.ledger.invoices.list("acme")[1].id)
        assert late.ledger.charges.get(charge.id).status is Status.FINAL
        assert [each.outcome for each in late.ledger.usage.late("acme").items] == ["dismissed"]
        late.ledger.charges.bill_late_usage(charge.id)
        late.worked("2026-03-03T00:00:00Z")

        assert late.ledger.invoices.list("acme")[-1].totals.total == 30
        late.sound()


def test_an_adjustment_whose_invoice_was_voided_is_billed_again(late: Late) -> None:
    charge = late.january()
    late.use(8)
    late.closed()
    late.paid()
    late.later(3)

    late.ledger.invoices.void(late.ledger.invoices.list("acme")[1].id, reason="wrong address")
    late.worked("2026-03-01T00:10:00Z")

    assert [total for _, total, _ in late.figures(charge)] == ["80.00", "30.00"]
    assert late.rated(charge) == 110


def test_a_final_run_whose_invoice_was_voided_is_billed_again_beside_its_adjustment(late: Late) -> None:
    """R13: the adjustment stays and is netted; the new run bills the rest, with everything that was seen."""
    charge = late.january()
    late.use(8)
    late.closed()
    late.later(3)

    late.ledger.invoices.void(late.ledger.invoices.list("acme")[0].id)
    late.worked("2026-03-01T00:10:00Z", "2026-03-02T00:00:00Z")

    assert sorted(late.figures(charge)) == [("final_realization", "80.00", "0"), ("late_adjustment", "30.00", "0")]
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


# ── after a patch ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [CREDIT_ONLY, BY_INVOICE])
def test_a_charge_that_is_extended_after_an_adjustment_bills_what_is_left(late: Late, mode: str) -> None:
    """11 units are billed by the end of January; 4 in February make 15 in all."""
    charge = late.january(mode)
    late.use(8)
    late.closed()
    late.later(3)
    late.use(4, "2026-02-10T00:00:00Z")

    late.ledger.charges.extend(charge.id, service_period_to="2026-03-01T00:00:00Z")
    late.worked("2026-03-04T00:00:00Z", "2026-03-04T00:05:00Z")
    late.paid()

    assert late.rated(charge) == 150
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


@pytest.mark.parametrize("mode", [CREDIT_ONLY, BY_INVOICE])
def test_a_charge_that_is_shortened_after_an_adjustment_is_rated_anew(late: Late, mode: str) -> None:
    charge = late.january(mode)
    late.use(8)
    late.use(2, "2026-01-25T00:00:00Z", id="second half")
    late.closed()
    late.paid()
    late.later(3)
    assert late.rated(charge) == 130

    late.ledger.charges.shrink(charge.id, service_period_to="2026-01-20T00:00:00Z")
    late.worked("2026-03-04T00:00:00Z", "2026-03-04T00:05:00Z")
    late.paid()

    assert late.rated(charge) == 110
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


@pytest.mark.parametrize("mode", [CREDIT_ONLY, BY_INVOICE])
def test_a_charge_that_is_deleted_takes_its_adjustments_with_it(late: Late, mode: str) -> None:
    charge = late.january(mode)
    late.ledger.credits.grant("acme", "95")
    late.use(8)
    late.closed()
    late.later(3)
    late.later(-2, "2026-03-02")

    late.ledger.charges.delete(charge.id)
    late.worked("2026-03-03T00:00:00Z")

    assert late.runs(charge) == []
    assert late.ledger.usage.late("acme").items == ()
    assert late.ledger.views.balance("acme").accrued == 0
    assert late.ledger.views.balance("acme").earnings == 0


# ── by policy ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [CREDIT_ONLY, BY_INVOICE])
def test_late_usage_is_left_and_listed_where_the_policy_says_none(store_url: str, mode: str) -> None:
    with under(store_url, "none") as late:
        charge = late.january(mode)
        late.use(8)
        late.closed()
        late.later(3)
        late.later(1, "2026-03-02")

        assert len(late.runs(charge)) == 1
        [found] = late.ledger.usage.late("acme").items
        assert [found.outcome, found.quantity, found.amount] == ["left", 11, 30]
        assert late.ledger.doctor.examine().late_usage == ()

        late.ledger.charges.bill_late_usage(charge.id)
        late.worked("2026-03-03T00:00:00Z")

        assert late.rated(charge) == 120
        assert late.ledger.usage.late("acme").items == ()
        late.sound()


def test_little_is_absorbed_and_what_is_more_is_billed_whole(store_url: str) -> None:
    """absorb:30: 3 units are not charged, 4 are, all of them; what is taken back is taken back in any case."""
    with under(store_url, "absorb:30") as late:
        charge = late.january(CREDIT_ONLY)
        late.use(8)
        late.closed()

        late.later(3)
        assert [each.outcome for each in late.ledger.usage.late("acme").items] == ["absorbed"]
        assert late.rated(charge) == 80
        late.later(1, "2026-03-02")
        assert late.rated(charge) == 120
        late.later(-1, "2026-03-03")

        assert late.rated(charge) == 110
        late.sound()


@pytest.mark.parametrize("mode", [CREDIT_ONLY, BY_INVOICE])
def test_somebody_is_asked_and_bills_or_dismisses(store_url: str, mode: str) -> None:
    with under(store_url, "ask") as late:
        charge = late.january(mode)
        late.use(8)
        late.closed()
        late.paid()
        with pytest.raises(NoLateUsage):
            late.ledger.charges.bill_late_usage(charge.id)
        late.later(3)
        [asked] = late.ledger.doctor.examine().late_usage
        assert [asked.charge, asked.amount] == [charge.id, 30]

        late.ledger.charges.dismiss_late_usage(charge.id, command_id="no")
        late.ledger.charges.dismiss_late_usage(charge.id, command_id="no")
        assert late.ledger.doctor.examine().late_usage == ()
        assert late.rated(charge) == 80
        late.later(1, "2026-03-02")
        late.ledger.charges.bill_late_usage(charge.id, command_id="yes")
        late.worked("2026-03-03T00:00:00Z")
        late.ledger.charges.bill_late_usage(charge.id, command_id="yes")

        assert late.rated(charge) == 120
        with pytest.raises(NoLateUsage):
            late.ledger.charges.bill_late_usage(charge.id)
        late.sound()


def test_what_waits_to_be_invoiced_can_still_be_dismissed(store_url: str) -> None:
    with under(store_url, "ask") as late:
        charge = late.january()
        late.use(8)
        late.closed()
        late.paid()
        late.later(3)
        billed = late.ledger.charges.bill_late_usage(charge.id)
        assert billed.gathering_line is not None
        assert late.ledger.charges.preview(charge.id).totals.total == 30

        dismissed = late.ledger.charges.dismiss_late_usage(charge.id)

        assert (dismissed.status, dismissed.gathering_line) == (Status.FINAL, None)
        late.sound()


def test_a_customer_may_have_a_policy_of_its_own(store_url: str) -> None:
    with Late(store_url, late_usage="none") as late:
        charge = late.january(CREDIT_ONLY)
        late.use(8)
        late.closed()
        late.later(3)

        assert len(late.runs(charge)) == 1


def test_an_engine_that_cannot_adjust_leaves_late_usage(store_url: str) -> None:
    with Late(store_url, run_engine="delta") as late:
        late.january(CREDIT_ONLY)
        late.use(8)
        late.closed()
        late.later(3)

        assert [each.outcome for each in late.ledger.usage.late("acme").items] == ["left"]


# ── late is as good as in time ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [CREDIT_ONLY, BY_INVOICE])
def test_usage_that_comes_late_costs_what_it_costs_in_time(store_url: str, mode: str) -> None:
    """Volume: up to 15 units at 10, above at 5 for all: 15 units cost 150, 16 cost 80."""
    price = volume(("15", "10"), (None, "5"))
    with Late(store_url) as late:
        charge = late.january(mode, price=price)
        late.use(15)
        late.closed()
        late.paid()
        late.later(1)
        late.worked("2026-03-02T00:00:00Z")

        assert late.rated(charge) == 80
        assert [run.type for run in late.runs(charge)] == [RunType.FINAL_REALIZATION, RunType.LATE_ADJUSTMENT]
        late.sound()


def test_the_books_of_an_adjustment_are_those_of_any_run(late: Late) -> None:
    """80 and 30 invoiced and paid: accrued is recognised or not, receivable is square, 110 came in."""
    late.january()
    late.use(8)
    late.closed()
    late.later(3)
    late.paid()

    found = balances(late)
    assert Decimal(found["wash"]) == -110
    assert "receivable_open" not in found
    assert Decimal(found.get("accrued", "0")) + Decimal(found.get("earnings", "0")) == 110


def test_why_tells_of_a_late_adjustment(late: Late) -> None:
    charge = late.january(CREDIT_ONLY, price=unit("10"))
    late.use(8)
    late.closed()
    late.later(3)

    found = late.ledger.audit.why(late.runs(charge)[1].id)

    assert [found.run_type, found.quantity, found.totals.total] == [RunType.LATE_ADJUSTMENT, 11, 30]
    assert found.prior_runs == (late.runs(charge)[0].id,)
