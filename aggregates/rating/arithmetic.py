"""Which arithmetic rating uses where the reference system's is doubtful: a policy, every choice with its number.

`RatingArithmetic.reference()` agrees with the reference system to the last cent and is the default.
`RatingArithmetic.exact()` takes the better arithmetic of rating §14 for W1, W5-W8, W10 and W11.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class RatingArithmetic(msgspec.Struct, frozen=True, kw_only=True):
    """The choices, each off by default."""

    previously_billed_net: bool = False
    """W1. Earlier splits count as what was billed, amount less discounts. With 50 % off and a maximum of 100, a
    first split of 100 gross counts as 50, so the second one is charged up to 50 more; else it is free."""

    tiers_always_sorted: bool = False
    """W5. Zero usage takes the first tier by bound, not as declared: tiers declared 10 (flat 50), 5 (flat 100), open
    cost 100 at zero usage; else 50."""

    first_line_has_no_past: bool = False
    """W6. A quantity before the first line of a period is refused (`pre_line_quantity_on_first_line`); else
    a package price counts it as not billed (7 + 5 of 10 are 2 packages) and a graduated one as billed."""

    negative_usage: Literal["as_reference", "refuse", "clamp"] = "as_reference"
    """W7. One rule for all prices: `refuse` (`negative_quantity`) or `clamp` to zero with a record of the true
    quantity. As in the reference, -15 units in packages of 10 are -1 package, and -15 at a unit price nothing."""

    divide_exactly: bool = False
    """W8. A quotient is rounded once, from the exact fraction. 9.99999999999999999 of 10 is 1 package; else 2,
    because the quotient is first rounded to 16 decimals."""

    carry_rounding: bool = False
    """W10. The lines of a price sum to its rounded sum; the difference goes to the lines in `rounding_amount`, largest
    remainder first. Three tiers of 0.005 are 0.02; else 0.03."""

    discount_on_sum: bool = False
    """W11. A percentage discount is computed on the sum of the lines and spread over them. 10 % of three lines
    of 0.05 is 0.02; else 0.03."""

    @staticmethod
    def reference() -> RatingArithmetic:
        """To the last cent as the reference system."""
        return REFERENCE

    @staticmethod
    def exact() -> RatingArithmetic:
        """The better arithmetic everywhere; negative usage is clamped."""
        return EXACTLY


REFERENCE = RatingArithmetic()
EXACTLY = RatingArithmetic(
    previously_billed_net=True,
    tiers_always_sorted=True,
    first_line_has_no_past=True,
    negative_usage="clamp",
    divide_exactly=True,
    carry_rounding=True,
    discount_on_sum=True,
)
