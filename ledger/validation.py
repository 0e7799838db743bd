"""Validation at the edge: what comes in is checked whole, and everything wrong with it is told at once.

Shapes are pydantic models (`ledger.commands`); look-ups (does the customer exist?) run on whatever part of the input
is readable, so that an unknown customer and an overlapping tier are reported by one error. One finding that has an
error class of its own is raised as that class; several are one `ValidationFailed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from aggregates.values.decimals import parse_decimal
from aggregates.values.errors import (
    CurrencyNotFound,
    CustomerNotFound,
    FeatureNotFound,
    Finding,
    Findings,
    MeterNotFound,
    NotFound,
    ValidationFailed,
)
from aggregates.values.identifiers import derived
from aggregates.values.period import Duration, instant, timestamp

M = TypeVar("M", bound=BaseModel)

NOT_FOUND: dict[str, type[NotFound]] = {
    error.code: error for error in (CustomerNotFound, FeatureNotFound, MeterNotFound, CurrencyNotFound)
}


class Input(BaseModel):
    """Base of all commands' shapes: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def _checked(code: str, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        try:
            return convert(value)
        except (ValueError, TypeError) as error:
            # `{` would be taken for a placeholder of pydantic's template.
            raise PydanticCustomError(cast("Any", code), cast("Any", str(error).replace("{", "{{"))) from None

    return check


def _zone_checked_duration(value: object) -> str:
    if not isinstance(value, str):
        msg = f'{value!r} is not an ISO 8601 duration, like "P2D"'
        raise ValueError(msg)
    Duration.parse(value)
    return value


ExactNumber = Annotated[Decimal, BeforeValidator(_checked("invalid_number", parse_decimal))]
"""A decimal from text, an int or a Decimal; a float, an exponent or too many digits are `invalid_number`."""
Moment = Annotated[datetime, BeforeValidator(_checked("invalid_time", instant))]
"""An instant: aware, normalised to UTC and whole seconds; a naive time is `invalid_time`."""
PreciseMoment = Annotated[datetime, BeforeValidator(_checked("invalid_time", timestamp))]
"""An aware time with microseconds, in UTC."""
DurationText = Annotated[str, BeforeValidator(_checked("invalid_duration", _zone_checked_duration))]
"""An ISO 8601 duration, kept as text."""


def fail(findings: Findings) -> None:
    """Raise what was found: one not-found finding as its own class, everything else together; nothing if nothing."""
    match findings.items:
        case []:
            return
        case [Finding(code=code, message=message)] if code in NOT_FOUND:
            raise NOT_FOUND[code](message)
        case items:
            raise ValidationFailed(tuple(_readable(item) for item in items))


def _readable(finding: Finding) -> Finding:
    """A not-found finding carries the bare key until it is told among others; then it becomes a sentence."""
    error = NOT_FOUND.get(finding.code)
    return msgspec.structs.replace(finding, message=str(error(finding.message))) if error else finding


def missing(findings: Findings, path: str, error: type[NotFound], key: object) -> None:
    """Note that a key names nothing."""
    findings.add(path, error.code, str(key))


def parse(model: type[M], findings: Findings, **values: Any) -> M | None:
    """The validated input, or None with everything wrong with it noted in `findings`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        findings.extend(_translate(error))
        return None


def _translate(error: ValidationError) -> list[Finding]:
    out: list[Finding] = []
    for item in error.errors(include_url=False):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
        nested = item.get("ctx", {}).get("findings")
        if nested is None:
            out.append(Finding(path, item["type"], item["msg"]))
            continue
        for finding in cast("tuple[Finding, ...]", nested):
            below = f"{path}.{finding.path}" if finding.path else path
            out.append(Finding(below, finding.code, finding.message))
    return out


def refuse_with(findings: tuple[Finding, ...]) -> PydanticCustomError:
    """An error for a pydantic validator that found several things wrong with one field."""
    return PydanticCustomError("findings", "{count} findings", {"count": len(findings), "findings": findings})


def fingerprint(name: str, content: object) -> str:
    """SHA-256 of a command's content: the same content sent again has the same fingerprint, whoever sends it."""
    data = msgspec.json.encode(content, enc_hook=_fields, order="deterministic")
    return hashlib.sha256(name.encode() + b"\n" + data).hexdigest()


def _fields(value: object) -> object:
    if isinstance(value, BaseModel):
        return dict(value)
    msg = f"{type(value).__name__} cannot be part of a command"
    raise TypeError(msg)


def command_id(given: UUID | str | None, namespace: str, mint: Callable[[], UUID]) -> UUID:
    """The id of a command: the caller's UUID; a UUID derived from the caller's text; a fresh one when there is none."""
    if given is None:
        return mint()
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    except ValueError:
        return derived("command", namespace, given)
