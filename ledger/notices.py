"""What an invoicing system outside tells, as a document; `ledger.outside.tell` takes what is read here.

    {"type": "line_created", "customer": "acme", "charge_id": "019a…", "invoice_id": "…", "line_id": "…",
     "period": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "currency": "USD"}

The types and their fields are the notices of `aggregates.invoices.effects`. A fiat currency may be its code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast, get_args

import msgspec

from aggregates.invoices.effects import LineNotice
from aggregates.values.decimals import parse_decimal
from aggregates.values.errors import Finding, Findings, ValidationFailed
from aggregates.values.money import FIAT
from aggregates.values.period import instant
from ledger import validation
from ledger.prices import read

NOTICES: dict[str, type[LineNotice]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in get_args(LineNotice)
}
"""The notices by the name of their type: `line_created` and so on."""


def read_notice(document: Mapping[str, Any]) -> LineNotice:
    """The notice that a document tells. Raises `ValidationFailed` with everything that does not fit."""
    fields = dict(document)
    named = fields.pop("type", None)
    if not isinstance(named, str) or named not in NOTICES:
        message = f"{named!r} is none of {', '.join(NOTICES)}"
        raise ValidationFailed((Finding("type", validation.UNKNOWN_CHOICE, message),))
    kind = NOTICES[named]
    findings = Findings()
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in sorted(set(fields) - set(known)):
        findings.add(name, "unknown_field", f"{named} has {', '.join(known)}")
    for name, field in known.items():
        if field.required and name not in fields:
            findings.add(name, "missing", "is required")
    findings.raise_if_any()
    _read_times(fields, findings)
    findings.raise_if_any()
    code = fields.get("currency")
    if isinstance(code, str) and code in FIAT:
        fields["currency"] = msgspec.to_builtins(FIAT[code])
    made, wrong = read(fields, kind)
    wrong = wrong or tuple(_no_numbers(fields, made, ""))
    if wrong or made is None:
        raise ValidationFailed(wrong)
    return made


def _read_times(fields: dict[str, Any], findings: Findings) -> None:
    """Make instants of the ends of a period, as everywhere else; note those that are no times."""
    period = fields.get("period")
    if not isinstance(period, Mapping):
        return
    fields["period"] = read = dict(cast("Mapping[str, Any]", period))
    for end in ("from", "to"):
        if isinstance(read.get(end), str):
            try:
                read[end] = instant(read[end])
            except ValueError as error:
                findings.add(f"period.{end}", "invalid_time", str(error))


def _no_numbers(given: Any, made: Any, path: str) -> Iterator[Finding]:
    """Text that makes a `Decimal` and is no plain number: `NaN`, `1e9`."""
    if isinstance(made, Decimal) and isinstance(given, str):
        try:
            parse_decimal(given)
        except ValueError as error:
            yield Finding(path, "invalid_number", str(error))
    elif isinstance(made, msgspec.Struct) and isinstance(given, Mapping):
        said = cast("Mapping[str, Any]", given)
        for field in msgspec.structs.fields(made):
            if field.encode_name in said:
                below = f"{path}.{field.encode_name}".lstrip(".")
                yield from _no_numbers(said[field.encode_name], getattr(made, field.name), below)
    elif isinstance(made, list | tuple) and isinstance(given, list | tuple):
        for place, (one, other) in enumerate(zip(cast("Any", given), cast("Any", made), strict=True)):
            yield from _no_numbers(one, other, f"{path}[{place}]")
