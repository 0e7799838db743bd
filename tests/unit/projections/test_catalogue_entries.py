"""`catalogue_entries` over each kind of tables: what a key names, since when, and what it named before."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID, uuid5

import pytest

from aggregates.catalogue import (
    Aggregation,
    CostBasis,
    CostBasisDefined,
    CurrencyDefined,
    EntryKind,
    Feature,
    FeatureDefined,
    KeyPointed,
    Meter,
    MeterDefined,
    entry_stream,
    key_stream,
)
from aggregates.values.money import Currency, fiat
from aggregates.values.period import instant, timestamp
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.memory import MemoryStore
from ledger.store.store import NewRecord, Save
from projections.catalogue_entries import CATALOGUE_ENTRIES, CatalogueEntry
from projections.stores.open import open_views
from projections.stores.tables import Tables, Where
from tests.given import NAMESPACE, On, on, recorded

NEW_YEAR, FEBRUARY, MARCH = "2026-01-01", "2026-02-01", "2026-03-01"
OLD, NEW, TOKENS, RATE = (uuid5(UUID(int=0), name) for name in ("old", "new", "tokens", "rate"))


def meter(entry: UUID, decimals: int) -> On:
    """A meter called calls is defined."""
    made = Meter(id=entry, key="calls", aggregation=Aggregation.SUM, decimals=decimals)
    return on(entry_stream(entry), MeterDefined(meter=made))


def pointed(entry: UUID, kind: EntryKind = EntryKind.METER, key: str = "calls") -> On:
    """The key names that entry from now on."""
    return on(key_stream(NAMESPACE, kind, key), KeyPointed(kind=kind, key=key, entry_id=entry))


class Following:
    """A log of catalogue events, and the view that follows it."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.store = MemoryStore()
        self.follower = Follower(self.store, tables, (CATALOGUE_ENTRIES,))
        self._versions: dict[UUID, int] = {}

    def save(self, at: str, *history: On) -> None:
        """One save of these events at that time; the view does not follow yet."""
        self.store.append(Save([self._record(at, each) for each in history]), timestamp(at))

    def _record(self, at: str, each: On) -> NewRecord:
        stream, event = each
        version = self._versions[stream.id] = self._versions.get(stream.id, 0) + 1
        data = mapper.encode(recorded(stream, version, event, at))
        return NewRecord(stream.id, version, event.NAME, data, mapper.digest(data))

    def shown(self) -> dict[UUID, CatalogueEntry]:
        """The rows that people see, by entry, once the view has followed; made anew they come out the same."""
        self.follower.catch_up()
        assert self.follower.verify_view(CATALOGUE_ENTRIES.name).differences == ()
        with self.tables.reading() as reader:
            return {row.entry: row for row in reader.select(CATALOGUE_ENTRIES, [Where("since", "present")])}


@pytest.fixture
def given(store_url: str) -> Iterator[Following]:
    tables = open_views(store_url)
    yield Following(tables)
    tables.close()


def test_a_meter_is_there_since_its_key_names_it(given: Following) -> None:
    given.save(NEW_YEAR, meter(OLD, 2))
    assert given.shown() == {}

    given.save(FEBRUARY, pointed(OLD))

    row = given.shown()[OLD]
    assert (row.namespace, row.kind, row.key) == (NAMESPACE, "meter", "calls")
    assert (row.aggregation, row.decimals, row.property) == ("sum", 2, None)
    assert (row.since, row.replaced_at) == (timestamp(FEBRUARY), None)
    assert (row.definition_position, row.position) == (1, 2)


@pytest.mark.parametrize("follows", ["each save", "all at once"])
def test_a_meter_defined_anew_takes_the_place_of_the_one_before(given: Following, follows: str) -> None:
    given.save(NEW_YEAR, meter(OLD, 0), pointed(OLD))
    if follows == "each save":
        given.shown()

    given.save(FEBRUARY, meter(NEW, 3), pointed(NEW))

    rows = given.shown()
    assert set(rows) == {OLD, NEW}
    assert (rows[OLD].decimals, rows[OLD].replaced_at) == (0, timestamp(FEBRUARY))
    assert (rows[NEW].decimals, rows[NEW].since, rows[NEW].replaced_at) == (3, timestamp(FEBRUARY), None)


def test_a_key_may_be_pointed_back_and_to_what_it_names_already(given: Following) -> None:
    given.save(NEW_YEAR, meter(OLD, 0), pointed(OLD))
    given.save(FEBRUARY, meter(NEW, 3), pointed(NEW))
    given.shown()

    given.save(MARCH, pointed(OLD))
    back = given.shown()
    given.save("2026-04-01", pointed(OLD))

    assert (back[OLD].since, back[OLD].replaced_at) == (timestamp(MARCH), None)
    assert (back[NEW].since, back[NEW].replaced_at) == (timestamp(FEBRUARY), timestamp(MARCH))
    assert given.shown() == back


def test_a_meter_and_a_feature_of_one_key_have_nothing_to_do_with_each_other(given: Following) -> None:
    made = Feature(id=NEW, key="calls", name="Calls", meter_id=OLD)
    given.save(NEW_YEAR, meter(OLD, 0), pointed(OLD))
    given.save(FEBRUARY, on(entry_stream(NEW), FeatureDefined(feature=made)), pointed(NEW, EntryKind.FEATURE))

    rows = given.shown()

    assert [rows[entry].replaced_at for entry in (OLD, NEW)] == [None, None]
    assert (rows[NEW].kind, rows[NEW].name, rows[NEW].meter) == ("feature", "Calls", OLD)


def test_a_rate_has_a_row_beside_its_currency(given: Following) -> None:
    stream = entry_stream(TOKENS)
    rate = CostBasis(id=RATE, fiat_currency=fiat("JPY"), rate=Decimal("0.10"), effective_from=instant(timestamp(MARCH)))
    given.save(
        NEW_YEAR,
        on(stream, CurrencyDefined(currency=Currency("TOK", 3, str(TOKENS)))),
        pointed(TOKENS, EntryKind.CURRENCY, "TOK"),
    )
    given.save(
        FEBRUARY, on(stream, CostBasisDefined(cost_basis=rate)), pointed(TOKENS, EntryKind.COST_BASIS, str(RATE))
    )

    rows = given.shown()

    assert set(rows) == {TOKENS, RATE}
    tokens, entered = rows[TOKENS], rows[RATE]
    assert (tokens.kind, tokens.key, tokens.precision) == ("currency", "TOK", 3)
    assert (tokens.since, tokens.replaced_at) == (timestamp(NEW_YEAR), None)
    assert (entered.kind, entered.key, entered.currency) == ("cost_basis", str(RATE), TOKENS)
    assert (str(entered.rate), entered.fiat_currency, entered.precision) == ("0.10", "JPY", 0)
    assert (entered.since, entered.effective_from) == (timestamp(FEBRUARY), timestamp(MARCH))
