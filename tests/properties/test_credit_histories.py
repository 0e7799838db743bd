"""Random histories through the facade: after every command the books are in order (ledger §16, 1 to 14).

Late and early bookings, restricted and expiring credit, backfill, corrections of final charges, voids, refunds,
payments in parts, write-offs, closed books. `scripts/soak.py` plays such histories for as long as it is asked to.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.histories import Asked, History

numbers = st.integers(0, 5_000)
commands = st.lists(st.builds(Asked, st.integers(0, 25), numbers, numbers, numbers), min_size=40, max_size=60)


@given(commands)
@settings(max_examples=8, deadline=None)
def test_the_books_are_in_order_after_every_command(asked: list[Asked]) -> None:
    history = History()
    for each in asked:
        history.play(each)
    history.finish()
