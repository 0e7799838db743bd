"""A process whose threads all grant to one customer, and says what came of it: `<granted> <retryable refusals>`.

Started by the tests with the URL, the number of threads and of grants for each.
"""

import sys
import threading

from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from ledger.ports import SettableClock


def storm(ledger: Ledger, threads: int, each: int) -> tuple[int, int]:
    """Grants of 1 that were acknowledged, and those given back as worth trying again. Raises any other refusal."""
    granted: list[object] = []
    given_back: list[object] = []
    others: list[LedgerError] = []
    start = threading.Barrier(threads)

    def work() -> None:
        start.wait()
        for _ in range(each):
            try:
                ledger.credits.grant("acme", "1")
            except LedgerError as error:
                (given_back if error.retryable else others).append(error)
            else:
                granted.append(1)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if others:
        raise others[0]
    return len(granted), len(given_back)


def main(url: str, threads: int, each: int) -> None:
    with Ledger.open(url, clock=SettableClock("2026-01-01T00:00:00Z")) as ledger:
        print(*storm(ledger, threads, each), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
