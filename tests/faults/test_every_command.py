"""Every command of the facade is safe to send again: after its answer, after a crash anywhere, beside itself.

`tests/support/commands.py` and `further_commands.py` have the commands, each with a scene in which it does something.
Sent twice under one id, it is carried out once. Failed at any call of a port, of a decision about credit or of the
store (the fault probe is called before each, and once more when a save is durable and its answer not yet given) and
sent again, it comes to the same events and balances as if nothing had happened. The suite tries some of those calls,
`scripts/soak.py` all.
"""

from __future__ import annotations

import pytest

from tests.support.commands import COMMANDS, commands_of_the_facade, open_ledger
from tests.support.further_commands import EVERY_COMMAND, FURTHER
from tests.support.others import meanwhile
from tests.support.outcomes import balances, broken_off, comes_to_the_same, told
from tests.support.races import race

TRIED = 5
"""How many of a command's calls are made to fail in the suite, spread over all of them."""


def test_the_table_has_every_command_of_the_facade() -> None:
    assert set(COMMANDS) == commands_of_the_facade()
    assert {name.partition(" ")[0] for name in FURTHER} <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(EVERY_COMMAND))
def test_a_command_sent_twice_is_answered_as_before_and_appends_nothing(name: str) -> None:
    command = EVERY_COMMAND[name]
    with open_ledger("memory:") as ledger:
        command.prepare(ledger)
        target = command.target(ledger)
        before = ledger.store.head()
        first = command.send(ledger, target, "once")
        head = ledger.store.head()
        assert head > before, "the scene lets the command do something"

        again = command.send(ledger, target, "once")

        assert ledger.store.head() == head
        assert again == first or name.startswith("worker.run_once")
        assert ledger.audit.verify().sound


@pytest.mark.parametrize("name", sorted(EVERY_COMMAND))
def test_a_retry_is_answered_also_when_others_have_acted_in_between(name: str) -> None:
    """What was asked for makes the fingerprint, not what it came to at the time."""
    command = EVERY_COMMAND[name]
    with open_ledger("memory:") as ledger:
        command.prepare(ledger)
        target = command.target(ledger)
        first = command.send(ledger, target, "once")
        meanwhile(ledger)
        head = ledger.store.head()

        again = command.send(ledger, target, "once")

        assert ledger.store.head() == head
        assert getattr(again, "id", None) == getattr(first, "id", None)


@pytest.mark.parametrize("name", sorted(EVERY_COMMAND))
def test_a_command_that_failed_anywhere_and_is_sent_again_comes_to_the_same(name: str) -> None:
    clean = broken_off(name, None)
    step = max(1, len(clean.probe.calls) // TRIED)

    for fail_at in range(1, len(clean.probe.calls) + 1, step):
        call = clean.probe.calls[fail_at - 1]

        assert comes_to_the_same(broken_off(name, fail_at), clean), f"call {fail_at}, {call}, failed"


PROGRAM = """
import sys
from tests.support.commands import COMMANDS, LATER, open_ledger

url, name, now = sys.argv[1:]
with open_ledger(url, now=now) as ledger:
    command = COMMANDS[name]
    target = command.target(ledger)
    print("ready", flush=True)
    sys.stdin.readline()
    command.send(ledger, target, "once")
"""


@pytest.mark.parametrize("name", ["charges.advance", "invoices.invoice_pending_lines", "invoices.record_payment"])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_command_that_two_processes_send_at_once_is_carried_out_once(
    request: pytest.FixtureRequest, database: str, name: str
) -> None:
    """Both are answered; the log is that of one run."""
    url = str(request.getfixturevalue(f"{database}_url"))
    clean = broken_off(name, None)
    with open_ledger(url) as ledger:
        COMMANDS[name].prepare(ledger)
        now = ledger.clock.now().isoformat()

    done = race(PROGRAM, url, [[name, now], [name, now]])

    assert [process.returncode for process in done] == [0, 0], [process.stderr for process in done]
    with open_ledger(url, now=now) as ledger:
        assert (list(told(ledger)), balances(ledger)) == (clean.log, clean.balances)
        assert ledger.audit.verify().sound
