"""Policies: where the reference's behaviour is not what everyone would accept, the choice has a name.

A namespace records its policies as an event; a customer's profile may override those marked (c).
`Policies.reference()` plays the conformance vectors; `Policies.standard()` is the default of a new ledger
(decisions A). Policies join this record together with the rules that read them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class UsageCreditCut(StrEnum):
    """Which credit is live for usage of a period that ends at T; booking stays at T in both cases.

    A January grant that expires on 1 February at midnight, January usage of 30: under `period_end` the grant has
    expired at the cut and the 30 become advance; under `last_second` the grant was live in the last second of the
    period and pays the 30.
    """

    PERIOD_END = "period_end"
    """effective at or before T, expiring strictly after T (ledger §6.2)."""
    LAST_SECOND = "last_second"
    """effective before T, expiring at or after T (decisions A)."""


class Policies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One named bundle of choices."""

    usage_credit_cut: UsageCreditCut

    @staticmethod
    def reference() -> Policies:
        """The reference's behaviour, number for number."""
        return Policies(usage_credit_cut=UsageCreditCut.PERIOD_END)

    @staticmethod
    def standard() -> Policies:
        """What a customer, a controller and an auditor would accept: the default of every new ledger."""
        return Policies(usage_credit_cut=UsageCreditCut.LAST_SECOND)
