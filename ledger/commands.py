"""Every command the facade accepts, validated on entry: shapes as pydantic models, one finding per thing wrong.

The models say what a caller may send; what is kept are the msgspec structs of the events. Decimals come as text, an
int or a `Decimal`, never as a float; times carry a zone.
"""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from aggregates.catalogue import MAX_DECIMALS, Aggregation
from aggregates.policies import UsageCreditCut
from aggregates.values.money import FIAT, MAX_PRECISION
from ledger.validation import DurationText, Input

Key = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
"""A key of the caller's choice: not empty, no control characters, at most 200 characters."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise PydanticCustomError("unknown_zone", "{zone} is no IANA time zone, like Europe/Berlin", {"zone": zone})
    return zone


class ProfileInput(Input):
    """Billing settings: see `aggregates.customers.Profile`."""

    collection_interval: DurationText | None = None
    zone: Annotated[str, AfterValidator(_known_zone)] | None = None
    usage_credit_cut: UsageCreditCut | None = None


class CreateCustomer(ProfileInput):
    """Bring a customer into being."""

    key: Key
    name: Text


class ChangeProfile(ProfileInput):
    """Replace a customer's billing profile; what is left out falls back to the namespace's."""

    customer: Key


class DefineMeter(Input):
    """Define a meter: how usage events become one quantity."""

    key: Key
    aggregation: Aggregation = Aggregation.SUM
    decimals: Annotated[int, Field(ge=0, le=MAX_DECIMALS)] = 0
    property: Key | None = None

    @model_validator(mode="after")
    def _property_for_unique_count(self) -> DefineMeter:
        if (self.aggregation is Aggregation.UNIQUE_COUNT) != (self.property is not None):
            raise PydanticCustomError(
                "property_mismatch", "a unique_count meter names the property it counts, every other meter names none"
            )
        return self


class DefineFeature(Input):
    """Define a feature, with the meter its usage is measured by."""

    key: Key
    name: Text
    meter: Key | None = None


class DefineCurrency(Input):
    """Define a custom currency, such as credits or tokens."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{1,23}$")]
    precision: Annotated[int, Field(ge=0, le=MAX_PRECISION)]

    @model_validator(mode="after")
    def _not_fiat(self) -> DefineCurrency:
        if self.code in FIAT:
            raise PydanticCustomError("fiat_code", "{code} is an ISO 4217 currency already", {"code": self.code})
        return self
