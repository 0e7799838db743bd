"""The credit pool and a model of it that was written from ledger.md alone say the same, after every command.

Grants, collections, corrections, voids and recognition, late and ahead, restricted credit, expiry and backfill, in
currencies of 0, 2 and 4 decimal places, fiat and custom. Compared are answers and refusals, lots, breakage, accrued
value, earnings, the settled balance, the end of the listing and the lineage, at several times.
`scripts/soak.py --pool` plays such histories for as long as it is asked to.
"""

from __future__ import annotations

from hypothesis import given, settings

from tests.support.beside_naive_pool import History, histories, play


@given(histories())
@settings(max_examples=100, deadline=None)
def test_the_pool_and_the_model_say_the_same_after_every_command(history: History) -> None:
    play(history)
