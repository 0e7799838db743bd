"""A process that writes to a store and says what was acknowledged, one line each: `<stream> <version> <position>`.

Started by the tests with the URL, the number of saves and, where writers compete, a stream they share.
"""

import sys
from uuid import UUID, uuid4

from ledger.store.open import open_store
from ledger.store.store import Save, StaleSave
from tests.unit.ledger.store.stores import receipt_of, records


def main(url: str, saves: int, shared: UUID | None) -> None:
    store = open_store(url)
    mine = uuid4()
    for version in range(1, saves + 1):
        written = records(mine, version)
        if shared is not None:
            written += records(shared, len(store.read_stream(shared)) + 1)
        try:
            saved = store.append(Save(written, receipt_of(written)))
        except StaleSave:
            written = written[:1]
            saved = store.append(Save(written, receipt_of(written)))
        for place, record in enumerate(written):
            print(record.stream, record.version, saved.first + place, flush=True)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), UUID(sys.argv[3]) if len(sys.argv) > 3 else None)
