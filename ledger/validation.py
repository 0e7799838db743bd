"""Validation at the edge: what comes in is checked whole, and everything wrong with it is told at once.

Shapes are pydantic models (`ledger.commands`); look-ups (does the customer exist?) run on whatever part of the input
is readable, so that an unknown customer and an overlapping tier are reported by one error. One finding that has an
error class of its own is raised as that class; several are one `ValidationFailed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args
from uuid import UUID

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from aggregates.policies import LateUsage
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
from aggregates.values.texts import why_unkeepable

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E", bound=StrEnum)
S = TypeVar("S", bound=msgspec.Struct)

UNKNOWN_CHOICE = "unknown_choice"
"""The code of a word that is none of those there are."""

MAX_YEARS = 100
"""The longest duration: what is added to an instant stays in the calendar, which ends with the year 9999."""

HOUR = 3_600
"""Seconds between repetitions at least: a run a second would be two million a month."""

NOT_FOUND: dict[str, type[NotFound]] = {
    error.code: error for error in (CustomerNotFound, FeatureNotFound, MeterNotFound, CurrencyNotFound)
}


class Input(BaseModel):
    """Base of all commands' shapes: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _text_can_be_kept(cls, values: Any) -> Any:
        findings = tuple(_unkeepable_text(values, ""))
        if findings:
            raise refuse_with(findings)
        return values


def _unkeepable_text(value: Any, path: str) -> Iterator[Finding]:
    """Text that a database cannot keep: an event that holds it would stop every view on PostgreSQL, for good."""
    if isinstance(value, str):
        wrong = why_unkeepable(value)
        if wrong:
            yield Finding(path, "invalid_text", wrong)
    elif isinstance(value, msgspec.Struct):
        yield from _unkeepable_text(msgspec.structs.asdict(value), path)
    elif isinstance(value, Mapping):
        for key, item in cast("Iterable[tuple[Any, Any]]", value.items()):
            below = f"{path}.{ascii(key)[1:-1]}".lstrip(".")
            yield from _unkeepable_text(key, below)
            yield from _unkeepable_text(item, below)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _unkeepable_text(item, f"{path}[{index}]")


def keepable(value: object, findings: Findings, path: str) -> None:
    """Note all text within a value, a struct built in Python say, that a database cannot keep."""
    findings.extend(tuple(_unkeepable_text(value, path)))


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
    duration = Duration.parse(value)
    if duration.months > 12 * MAX_YEARS or duration.days > 366 * MAX_YEARS or duration.seconds > 31_622_400 * MAX_YEARS:
        msg = f"{value!r} is too long: a duration is at most {MAX_YEARS} years"
        raise ValueError(msg)
    return value


ExactNumber = Annotated[Decimal, BeforeValidator(_checked("invalid_number", parse_decimal))]
"""A decimal from text, an int or a Decimal; a float, an exponent or too many digits are `invalid_number`."""
Moment = Annotated[datetime, BeforeValidator(_checked("invalid_time", instant))]
"""An instant: aware, normalised to UTC and whole seconds; a naive time is `invalid_time`."""
PreciseMoment = Annotated[datetime, BeforeValidator(_checked("invalid_time", timestamp))]
"""An aware time with microseconds, in UTC."""
DurationText = Annotated[str, BeforeValidator(_checked("invalid_duration", _zone_checked_duration))]
"""An ISO 8601 duration, kept as text."""


def why_too_often(every: Duration) -> str | None:
    """Why something that repeats so often is refused; `P0D`, which is never, is not."""
    if every == Duration() or every.months or every.days or every.seconds >= HOUR:
        return None
    return f"{every} is too short: what repeats does so every hour at most"


def _not_too_often(text: str) -> str:
    wrong = why_too_often(Duration.parse(text))
    if wrong is not None:
        raise PydanticCustomError("too_short", "{wrong}", {"wrong": wrong})
    return text


OftenText = Annotated[DurationText, AfterValidator(_not_too_often)]
"""How often something repeats, as `DurationText`: an hour or more (`too_short`), or never."""


def _late_usage(value: object) -> LateUsage:
    if isinstance(value, LateUsage):
        return value
    if not isinstance(value, str):
        msg = f'{value!r} is not a policy of late usage, like "bill" or "absorb:5.00"'
        raise ValueError(msg)
    return LateUsage.parse(value)


LateUsageText = Annotated[LateUsage, BeforeValidator(_checked("invalid_late_usage", _late_usage))]
"""What is done about late usage: `none`, `bill`, `absorb:5.00` or `ask`."""


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


def built(kind: type[Any], findings: Findings, path: str, given: object) -> None:
    """Note every field of a struct that holds what it cannot: a struct built in Python checks nothing by itself."""
    if not isinstance(given, kind):
        findings.add(path, "wrong_type", f"{type(given).__name__} is no {kind.__name__}")
        return
    for field in msgspec.structs.fields(kind):
        try:
            msgspec.convert(getattr(given, field.name), field.type)
        except msgspec.ValidationError as error:
            findings.add(f"{path}.{field.name}", "invalid_choice", str(error))


_CODES = {"enum": UNKNOWN_CHOICE, "literal_error": UNKNOWN_CHOICE}
"""What pydantic calls otherwise than we do."""


def _translate(error: ValidationError) -> list[Finding]:
    out: list[Finding] = []
    for item in error.errors(include_url=False):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
        nested = item.get("ctx", {}).get("findings")
        if nested is None:
            out.append(Finding(path, _CODES.get(item["type"], item["type"]), item["msg"]))
            continue
        for finding in cast("tuple[Finding, ...]", nested):
            below = f"{path}.{finding.path}".strip(".")
            out.append(Finding(below, finding.code, finding.message))
    return out


def choice(kind: type[E], path: str, given: str) -> E:
    """The member of that name; raises `ValidationFailed` that lists them all."""
    if given not in set(kind):
        names = ", ".join(kind)
        raise ValidationFailed((Finding(path, UNKNOWN_CHOICE, f"{given!r} is none of {names}"),))
    return kind(given)


def worded(given: S, findings: Findings, path: str) -> S:
    """A struct built in Python, words where it takes one of several made those; what is none of them is noted.

    `Delete(source="api")` is `Delete(source=PatchSource.API)`: a word is as good as its name, and a wrong one is never
    taken for another.
    """
    changes: dict[str, Any] = {}
    for name, kind in _chosen(type(given)):
        value = getattr(given, name)
        if isinstance(value, msgspec.Struct):
            inner = worded(value, findings, f"{path}.{name}")
            changes |= {name: inner} if inner is not value else {}
        elif kind is not None and value is not None and not isinstance(value, kind):
            if isinstance(value, str) and value in set(kind):
                changes[name] = kind(value)
            else:
                findings.add(f"{path}.{name}", UNKNOWN_CHOICE, f"{value!r} is none of {', '.join(kind)}")
    return msgspec.structs.replace(given, **changes) if changes else given


@cache
def _chosen(kind: type[msgspec.Struct]) -> tuple[tuple[str, type[StrEnum] | None], ...]:
    """The fields of a struct, each with the choice it is, if it is one."""
    out: list[tuple[str, type[StrEnum] | None]] = []
    for field in msgspec.structs.fields(kind):
        choices = [each for each in (field.type, *get_args(field.type)) if _is_choice(each)]
        out.append((field.name, choices[0] if choices else None))
    return tuple(out)


def _is_choice(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


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
    wrong = why_unkeepable(given)
    if wrong:
        raise ValidationFailed((Finding("command_id", "invalid_text", wrong),))
    try:
        return UUID(given)
    except ValueError:
        return derived("command", namespace, given)
