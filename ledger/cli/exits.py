"""From an error to an exit code, a sentence for people, and an object for programs: one table, one place.

The most specific class of the table that an error belongs to counts. Exit codes are those of the error tree
(`aggregates/values/errors.py`): 1 history broken, 2 malformed, 3 refused, 4 not found, 5 conflict, 6 concurrent
change, 7 unavailable. 130 is Ctrl-C and 141 a reader that went away, as everywhere else.
"""

from __future__ import annotations

from typing import NamedTuple

from rich.console import RenderableType
from rich.text import Text

from aggregates.values import errors
from aggregates.values.errors import Finding, LedgerError, ValidationFailed

USAGE = 2
INTERRUPTED = 130
READER_WENT_AWAY = 141


class Way(NamedTuple):
    """How an error leaves the program: its exit code, and what to do about it."""

    exit_code: int
    next_step: str


# fmt: off
WAYS: dict[type[LedgerError], Way] = {
    errors.LedgerError:          Way(3, "`ledger --help` lists what can be done"),
    errors.InvalidCommand:       Way(2, "correct the command and send it again; nothing was written"),
    errors.CommandRefused:       Way(3, "nothing was written; what stands in the way is said above"),
    errors.OpenItems:            Way(3, "see to what is open, then delete the customer again"),
    errors.CustomerIsDeleted:    Way(3, "its history can be read; use another key for a new customer"),
    errors.UnsupportedOperation: Way(3, "`ledger charge show` tells the status; advance the charge or wait"),
    errors.PostingRefused:       Way(3, "nothing was booked; `ledger entries` shows what is"),
    errors.AdvanceRefused:       Way(3, "it moves by itself when the reason is gone; advance it again"),
    errors.Conflict:             Way(5, "look again and decide anew; nothing was written"),
    errors.ReferenceInUse:       Way(5, "use another key, or delete the charge that holds it"),
    errors.AlreadyExists:        Way(5, "use another key; definitions never change"),
    errors.StalePatch:           Way(5, "`ledger charge show` tells the intent version to patch"),
    errors.ConflictingRetry:     Way(5, "leave --command-id out, or use a new one for a new command"),
    errors.UsageConflict:        Way(5, "`ledger usage conflicts` lists both; the first one counts"),
    errors.NotFound:             Way(4, "check the name, --db and --namespace"),
    errors.CustomerNotFound:     Way(4, "`ledger customer list` has them all; `ledger customer create` makes one"),
    errors.ChargeNotFound:       Way(4, "`ledger charge list` and `ledger credit list` have their ids"),
    errors.RunNotFound:          Way(4, "`ledger runs CUSTOMER` has their ids"),
    errors.FeatureNotFound:      Way(4, "`ledger feature list` has them all; `ledger feature define` makes one"),
    errors.MeterNotFound:        Way(4, "`ledger meter list` has them all, `ledger meter define` makes one; a feature"
                                    " needs one to be charged by usage"),
    errors.CurrencyNotFound:     Way(4, "use an ISO 4217 code, one of `ledger currency list`, or make one"),
    errors.LedgerMissing:        Way(4, "check --db and --namespace, or make a ledger there with `ledger init`"),
    errors.ProjectionNotFound:   Way(4, "`ledger projections status` has them all"),
    errors.ConcurrentChange:     Way(6, "send it again"),
    errors.Unavailable:          Way(7, "check --db and that the database answers, then send it again"),
    errors.HistoryBroken:        Way(1, "`ledger verify` names all that does not hold; write nothing until then"),
}
# fmt: on


def way_of(error: type[LedgerError]) -> Way:
    """How errors of this class leave: the most specific line of the table."""
    return next(WAYS[kind] for kind in error.__mro__ if kind in WAYS)


def as_data(error: LedgerError) -> dict[str, object]:
    """The error for programs."""
    way = way_of(type(error))
    evidence = error.evidence()
    findings = evidence.pop("findings", ()) if isinstance(error, ValidationFailed) else ()
    return {
        "error": {
            "code": error.code,
            "message": str(error),
            "retryable": error.retryable,
            "exit_code": way.exit_code,
            "evidence": evidence,
            "findings": findings,
            "next_step": way.next_step,
        }
    }


def as_text(error: LedgerError) -> tuple[RenderableType, ...]:
    """The error for people: what is wrong, everything at once, and what to do next."""
    way = way_of(type(error))
    next_step = Text.assemble(("next: ", "bold"), way.next_step)
    if not isinstance(error, ValidationFailed):
        return (Text.assemble(("error: ", "bold red"), str(error), (f" ({error.code})", "dim")), next_step)
    count = len(error.findings)
    lead = f"{count} thing{'s' if count != 1 else ''} to correct"
    return (Text.assemble(("error: ", "bold red"), lead), *(_finding(f) for f in error.findings), next_step)


def usage_data(message: str, help_command: str) -> dict[str, object]:
    """A command line that cannot be read, for programs."""
    return {
        "error": {
            "code": "usage",
            "message": message,
            "retryable": False,
            "exit_code": USAGE,
            "evidence": {},
            "findings": [],
            "next_step": f"`{help_command} --help` says how it is written",
        }
    }


def usage_text(message: str, help_command: str) -> tuple[RenderableType, ...]:
    """A command line that cannot be read, for people."""
    return (
        Text.assemble(("error: ", "bold red"), message),
        Text.assemble(("next: ", "bold"), f"`{help_command} --help` says how it is written"),
    )


def _finding(finding: Finding) -> Text:
    place = (f"{finding.path}: ", "bold") if finding.path else ("", "")
    return Text.assemble("  - ", place, finding.message, (f" ({finding.code})", "dim"))
