"""Options that several commands have: written once, and taken by each command as one argument."""

from __future__ import annotations

from inspect import Parameter
from typing import Any, Self, get_type_hints

import msgspec


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Options that go together: every field is an option of each command that takes them.

    class Discounts(Shared, frozen=True, kw_only=True):
        percent_off: PercentOff = None

    @command(app, "create", writes=True)
    def create(session: Session, customer: Customer, *, discounts: Discounts) -> Shown: ...
    """

    @classmethod
    def parameters(cls) -> list[Parameter]:
        """The options as typer is to see them, in the order in which they are written."""
        kinds = get_type_hints(cls, include_extras=True)
        return [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if field.required else field.default,
                annotation=kinds[field.name],
            )
            for field in msgspec.structs.fields(cls)
        ]

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Self:
        """Take the options out of everything that was given to a command."""
        return cls(**{name: given.pop(name) for name in cls.__struct_fields__})

    def said(self) -> dict[str, Any]:
        """What was given, by name; what was left out is not in it."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
