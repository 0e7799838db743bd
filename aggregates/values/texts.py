"""Text that comes in: what no database can keep, and what nobody can see."""

from __future__ import annotations

import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Unicode categories of characters without a shape: control, format (zero-width, bidirectional), line ends."""


def why_unkeepable(text: str) -> str | None:
    """Why no database keeps this text as it is, if so."""
    if "\x00" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate)"
    return None


def why_unseen(text: str) -> str | None:
    """Why two texts that look alike could differ, if so: a character in it that nobody sees."""
    if text.isascii() and text.isprintable():
        return None
    unseen = next((character for character in text if unicodedata.category(character) in UNSEEN), None)
    return f"holds a character that nobody sees (U+{ord(unseen):04X})" if unseen is not None else None
