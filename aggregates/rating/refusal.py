"""How rating says no: the error every package uses for findings, with one of the codes of rating §13."""

from __future__ import annotations

from typing import NoReturn

from aggregates.values.errors import Finding, ValidationFailed


def refuse(code: str, message: str, path: str = "") -> NoReturn:
    """Stop with one finding. Rating stops at the first thing it cannot do; validation collects them all."""
    raise ValidationFailed((Finding(path, code, message),))


def codes(error: ValidationFailed) -> list[str]:
    """The codes of everything found, in order."""
    return [finding.code for finding in error.findings]
