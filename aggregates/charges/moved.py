"""A step of a charge's lifecycle, as the events that may move it carry it."""

from __future__ import annotations

import msgspec

from aggregates.lifecycle import Status, Trigger
from aggregates.values.period import Instant


class Moved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step of the lifecycle. `advance_after` absent: the clock alone will not move the charge any more."""

    status_from: Status
    status_to: Status
    trigger: Trigger
    advance_after: Instant | None = None
