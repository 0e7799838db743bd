"""Overrides of flat fees through the facade: every term of the mutable part can be laid over (lifecycles §2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregates.charges.intent import FlatFeeLayer, PaymentTerm
from ledger.facade import Ledger
from tests.application.scenes import JANUARY, at, opened, with_customer

if TYPE_CHECKING:
    from aggregates.charges.state import Charge


def fee(ledger: Ledger) -> Charge:
    """100 for January, from credit, in advance."""
    return ledger.charges.create_flat_fee("acme", amount="100", period_from=JANUARY[0], period_to=JANUARY[1])


def layer_of(charge: Charge) -> FlatFeeLayer:
    layer = charge.intent.effective
    assert isinstance(layer, FlatFeeLayer)
    return layer


def test_a_fee_can_be_put_in_arrears_described_and_labelled_by_an_override() -> None:
    """Booked at the start of the period in advance, at its end in arrears."""
    with opened("memory:", "2025-12-01T00:00:00Z") as ledger:
        with_customer(ledger)
        charge = fee(ledger)

        over = ledger.charges.set_override(
            charge.id, payment_term="in_arrears", description="as agreed by phone", metadata={"ticket": "17"}
        )

        layer = layer_of(over)
        assert layer.payment_term is PaymentTerm.IN_ARREARS
        assert layer.booked_at == layer.service_period.to
        assert (layer.description, layer.metadata) == ("as agreed by phone", {"ticket": "17"})
        assert layer_of(ledger.charges.clear_override(charge.id)).payment_term is PaymentTerm.IN_ADVANCE
        at(ledger, "2026-01-01T00:00:00Z")
        (moved,) = ledger.charges.advance("acme").moved
        assert moved.status == "final"
