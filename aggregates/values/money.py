"""Money: an exact amount of one currency, at that currency's precision; rounding and splitting as named acts.

`Money` refuses an amount that its currency cannot hold; `Currency.rounded` is the one way from an unrounded
decimal to a payable amount (half away from zero, lifecycles §1.2). `split` hands an amount out over weights so
that the parts sum to the whole (ledger §8).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

import msgspec

from aggregates.values.decimals import DIGITS, EXACT, ZERO, decimal_places, parse_decimal, round_half_away, text
from aggregates.values.errors import CurrencyMismatch, CurrencyNotFound

_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP"
    " CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR"
    " JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN"
    " NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP"
    " SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG"
)
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

MAX_PRECISION = 18

_WIDE = Context(prec=DIGITS)


class Currency(msgspec.Struct, frozen=True, omit_defaults=True):
    """A currency and its precision, the number of decimals money in it has (USD 2, JPY 0).

    `id` is absent for ISO 4217 currencies. For a custom currency it is the catalogue id: two custom currencies of
    one code and different ids are different currencies everywhere (ledger §3). The precision is a snapshot.
    """

    code: str
    precision: int
    id: str | None = None

    @property
    def key(self) -> str:
        """What tells this currency from every other: the code of a fiat currency, the id of a custom one."""
        return self.id or self.code

    @property
    def is_custom(self) -> bool:
        """Whether this is a custom currency (credits, tokens) rather than fiat."""
        return self.id is not None

    def rounded(self, amount: Decimal) -> Decimal:
        """The amount at this currency's precision, halves away from zero: 32.258 USD is 32.26."""
        return round_half_away(amount, self.precision)

    def rounded_up(self, amount: Decimal) -> Decimal:
        """The amount at this currency's precision, away from zero: 1.221 USD is 1.23, -1.221 is -1.23."""
        return amount.quantize(self.unit, rounding=ROUND_UP, context=_WIDE) or ZERO

    def rounded_down(self, amount: Decimal) -> Decimal:
        """The amount at this currency's precision, toward zero: 1.229 USD is 1.22, -1.229 is -1.22."""
        return amount.quantize(self.unit, rounding=ROUND_DOWN, context=_WIDE) or ZERO

    @property
    def unit(self) -> Decimal:
        """The smallest amount of this currency: 0.01 USD, 1 JPY."""
        return Decimal(1).scaleb(-self.precision)

    def holds(self, amount: Decimal) -> bool:
        """Whether the amount is exact at this currency's precision."""
        return decimal_places(amount) <= self.precision


FIAT: dict[str, Currency] = {
    code: Currency(code, precision)
    for codes, precision in ((_TWO, 2), (_ZERO, 0), (_THREE, 3), ("CLF UYW", 4))
    for code in codes.split()
}


def fiat(code: str) -> Currency:
    """The fiat currency of an ISO 4217 code. Raises `CurrencyNotFound`."""
    try:
        return FIAT[code]
    except KeyError:
        raise CurrencyNotFound(code) from None


class Money(msgspec.Struct, frozen=True):
    """An amount of one currency, exact at its precision. Adding two currencies is a `CurrencyMismatch`."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        if not self.currency.holds(self.amount):
            msg = f"{text(self.amount)} has more than the {self.currency.precision} decimals of {self.currency.code}"
            raise ValueError(msg)

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(EXACT.add(self.amount, other.amount), self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(EXACT.subtract(self.amount, other.amount), self.currency)

    def __neg__(self) -> Money:
        return Money(EXACT.minus(self.amount), self.currency)

    def __str__(self) -> str:
        return f"{self.currency.rounded(self.amount):f} {self.currency.code}"

    def _same(self, other: Money) -> None:
        if other.currency != self.currency:
            raise CurrencyMismatch(self.currency.code, other.currency.code)


def money(amount: object, currency: str | Currency) -> Money:
    """Money from text: `money("12.50", "USD")`. Raises `ValueError` on a float or on too many decimals."""
    return Money(parse_decimal(amount), fiat(currency) if isinstance(currency, str) else currency)


def usd(amount: object) -> Money:
    """US dollars from text: `usd("12.50")`."""
    return money(amount, "USD")


def split(
    total: Decimal,
    weights: Sequence[Decimal],
    precision: int,
    *,
    caps: Sequence[Decimal] | None = None,
    keys: Sequence[object] | None = None,
) -> list[Decimal]:
    """Split a non-negative amount in proportion to weights, by largest remainder; the parts sum to the whole.

    Each share is floored at `precision`; the units left over go out one by one by descending remainder, ties by
    `keys` (by position when absent), never above an item's cap (ledger §8). When the caps together are below
    the total, everything up to the caps is handed out and the parts sum to the caps.

    >>> [str(part) for part in split(Decimal("0.05"), [Decimal(1)] * 3, 2)]
    ['0.02', '0.02', '0.01']
    """
    if not weights:
        return []
    unit = Decimal(1).scaleb(-precision)
    limits = list(caps) if caps is not None else [total] * len(weights)
    order = list(keys) if keys is not None else list(range(len(weights)))
    total_units = int(total.scaleb(precision, context=EXACT))
    cap_units = [int(cap.scaleb(precision, context=EXACT)) for cap in limits]
    total_units = min(total_units, sum(cap_units))
    # Weights as integers of one scale, so that shares and remainders are exact.
    scale = max(decimal_places(weight) for weight in weights)
    weight_units = [int(weight.scaleb(scale, context=EXACT)) for weight in weights]
    whole = sum(weight_units)
    if whole == 0:
        return [ZERO * unit for _ in weights]
    shares = [min(total_units * w // whole, cap) for w, cap in zip(weight_units, cap_units, strict=True)]
    remainders = [total_units * w % whole for w in weight_units]
    left = total_units - sum(shares)
    ranked = sorted(range(len(weights)), key=lambda i: (-remainders[i], order[i]))
    while left > 0:
        moved = False
        for i in ranked:
            if left > 0 and shares[i] < cap_units[i]:
                shares[i] += 1
                left -= 1
                moved = True
        if not moved:
            break
    return [EXACT.multiply(Decimal(share), unit) for share in shares]
