"""The base of everything the state of a charge is made of."""

from __future__ import annotations

import msgspec


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything the state of a charge is made of."""
