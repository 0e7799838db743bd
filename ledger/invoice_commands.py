"""What may be sent about an invoice and its lines, validated on entry; `commands.py` has the rest."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from ledger.commands import BoundsInput, DiscountsInput, Text
from ledger.validation import ExactNumber, Input

Words = Annotated[str, StringConstraints(max_length=10_000)]
"""Text for people, of several lines if need be; it may be empty."""


class DescribeInput(Input):
    """Set the description of an invoice, or take it away."""

    description: Words | None = None


class EditLineInput(Input):
    """Change what a line shows; what is absent stays as it is."""

    line: UUID
    name: Text | None = None
    description: Words | None = None
    amount: ExactNumber | None = None
    period: BoundsInput | None = None
    metadata: dict[str, str] | None = None
    discounts: DiscountsInput = None


class CreditInput(Input):
    """Take back an amount, or some lines, or all of an invoice; before tax."""

    amount: ExactNumber | None = None
    lines: dict[UUID, ExactNumber | None] | None = None
    reason: Words | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CreditInput:
        if self.amount is not None and self.lines is not None:
            raise PydanticCustomError("amount_or_lines", "credit an amount or name lines, not both")
        if self.amount is not None and self.amount <= 0:
            raise PydanticCustomError("not_positive", "the amount must be above zero")
        return self
