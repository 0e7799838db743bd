"""What may follow what in a payment (lifecycles §13). The guard sits with the fact itself, not with a status (R-08).

==========  ==================================  =========================  =========================
reported    no payment yet                      authorised                 settled
==========  ==================================  =========================  =========================
authorised  recorded                            payment_already_authorized payment_already_authorized
settled     cannot_settle_not_authorized_payment recorded                  payment_already_settled
==========  ==================================  =========================  =========================
"""

from __future__ import annotations

from aggregates.charges.purchase_state import Payment
from aggregates.charges.state import Charge
from aggregates.values.errors import (
    CannotSettleNotAuthorizedPayment,
    PaymentAlreadyAuthorized,
    PaymentAlreadySettled,
)


def require_authorizable(charge: Charge) -> None:
    """Raise `PaymentAlreadyAuthorized` when the charge has a payment, settled or not."""
    if charge.payment is not None:
        raise PaymentAlreadyAuthorized(charge.id)


def settleable(charge: Charge) -> Payment:
    """The authorised payment. Raises `CannotSettleNotAuthorizedPayment`, `PaymentAlreadySettled`."""
    if charge.payment is None:
        raise CannotSettleNotAuthorizedPayment(charge.id)
    if charge.payment.settled is not None:
        raise PaymentAlreadySettled(charge.id)
    return charge.payment
