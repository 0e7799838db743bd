"""The command line has all that the library has: every command, every query, and every parameter of each.

Both are read as they are: the groups of an open ledger with their methods, and the tree of commands with its options.
What the command line does not have stands in `WITHOUT` with the reason beside it; an entry that is not needed any more
fails like one that is missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest
from pydantic import BaseModel

from ledger.commands import (
    ChangeProfile,
    CreateCustomer,
    CreateFlatFee,
    CreatePurchase,
    CreateUsageCharge,
    MovePeriodEndInput,
    ProfileInput,
    SetOverrideInput,
)
from ledger.facade import Ledger
from ledger.invoice_commands import EditLineInput
from ledger.metering.importer import UsageMapping
from ledger.settings import PER_CUSTOMER
from tests.application.cli.test_every_command import COMMANDS

# ── the library ──────────────────────────────────────────────────────────────────────────────────────────────

TERMS: dict[str, type[BaseModel | msgspec.Struct]] = {
    "charges.create_flat_fee": CreateFlatFee,
    "charges.create_usage": CreateUsageCharge,
    "charges.extend": MovePeriodEndInput,
    "charges.set_override": SetOverrideInput,
    "charges.shrink": MovePeriodEndInput,
    "credits.grant": CreatePurchase,
    "credits.sell": CreatePurchase,
    "customers.change_profile": ChangeProfile,
    "customers.create": CreateCustomer,
    "invoices.add_fee": CreateFlatFee,
    "invoices.add_usage": CreateUsageCharge,
    "invoices.edit_line": EditLineInput,
    "settings.change_default_profile": ProfileInput,
    "usage.import_csv": UsageMapping,
    "usage.import_jsonl": UsageMapping,
}
"""What may be sent as `**terms` and the like."""

SAID_OTHERWISE = {"service_period"}
"""Where a creation has `period_from` and `period_to`, its shape has a period."""


def methods() -> dict[str, list[str]]:
    """Every public method and property of every group, and of the ledger itself, with its parameters."""
    with Ledger.open("memory:") as ledger:
        groups = {
            f"{name}.": type(group)
            for name, group in vars(ledger).items()
            if not name.startswith("_") and type(group).__module__.startswith("ledger.")
        }
    return {
        f"{group}{name}": list(parameters(f"{group}{name}", member))
        for group, kind in {**groups, "": Ledger}.items()
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }


def parameters(method: str, member: Any) -> Iterator[str]:
    """The parameters of a method, and what may be sent beside them; `**terms` itself where nobody says what that is."""
    if isinstance(member, property):
        return
    said = [each for each in inspect.signature(member).parameters.values() if each.name != "self"]
    named = [each.name for each in said if each.kind is not each.VAR_KEYWORD]
    yield from named
    if len(named) == len(said):
        return
    shape = TERMS.get(method)
    if shape is None:
        yield f"**{said[-1].name}"
        return
    fields = shape.model_fields if issubclass(shape, BaseModel) else shape.__struct_fields__
    yield from sorted(set(fields) - {*named, *(SAID_OTHERWISE if "period_from" in named else ())})


METHODS = methods()

# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────

GROUPS = {
    "charges": "charge",
    "credits": "credit",
    "customers": "customer",
    "invoices": "invoice",
    "periods": "period",
    "audit": "",
    "statements": "",
    "views": "",
}
"""What a group is called on the command line, where it is not called the same; a group without a name stands alone."""

COMMAND = {
    "audit.repair_inline": "repair",
    "catalogue.cost_bases": "currency rates",
    "catalogue.currencies": "currency list",
    "catalogue.currency": "currency show",
    "catalogue.define_cost_basis": "currency rate",
    "catalogue.define_currency": "currency define",
    "catalogue.define_feature": "feature define",
    "catalogue.define_meter": "meter define",
    "catalogue.feature": "feature show",
    "catalogue.features": "feature list",
    "catalogue.meter": "meter show",
    "catalogue.meters": "meter list",
    "charges.advance": "advance",
    "charges.apply_patches": "charge apply",
    "charges.create": "charge apply",
    "charges.create_flat_fee": "charge create-fee",
    "charges.create_usage": "charge create",
    "charges.get": "charge show",
    "charges.record_payment": "credit payment",
    "charges.run": "run",
    "charges.runs": "runs",
    "charges.set_override": "charge override",
    "charges.void_purchase": "credit void",
    "credits.cover_advance": "credit cover",
    "credits.purchase": "credit show",
    "credits.record_payment": "credit payment",
    "credits.reverse_payment": "credit reverse",
    "customers.change_profile": "customer profile",
    "customers.get": "customer show",
    "doctor.examine": "doctor",
    "invoices.advance_due": "invoice due",
    "invoices.get": "invoice show",
    "invoices.invoice_pending_lines": "invoice make",
    "invoices.move_due": "invoice due",
    "invoices.record_payment": "invoice payment",
    "invoices.refund_all_unapplied": "invoice refund-all",
    "invoices.refund_unapplied": "invoice refund",
    "late_usage.find": "worker run-once",
    "live.balance": "live-balance",
    "open": "init",
    "outside.is_used": "settings show",
    "periods.closed_until": "settings show",
    "projections.rebuild": "rebuild",
    "projections.versions": "projections status",
    "settings.change_default_profile": "settings set",
    "settings.change_policies": "settings policy",
    "settings.change_tax": "settings tax",
    "settings.establish": "init",
    "settings.get": "settings show",
    "statements.transactions": "credit transactions",
    "usage.by_property": "usage quantity",
    "usage.import_csv": "usage import",
    "usage.import_jsonl": "usage import",
    "views.charge": "charge show",
    "views.charges": "charge list",
    "views.current_runs": "runs",
    "views.customers": "customer list",
    "views.invoice": "invoice show",
    "views.invoices": "invoice list",
    "views.overlaps": "charge overlaps",
    "views.prior_runs": "runs",
    "views.stuck_charges": "charge stuck",
    "worker.due_customers": "worker due",
}
"""Where a command is not called after its group and method."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "charge_type": ("type",),
    "credit_refund": ("refund",),
    "discounts": ("percent_off", "free_units"),
    "billing_period": ("billing_from", "billing_to"),
    "billing_period_to": ("billing_to",),
    "cost_basis": ("cost_basis", "cost_basis_id", "fiat_currency"),
    "creates": ("file",),
    "full_service_period": ("full_from", "full_to"),
    "full_service_period_to": ("full_to",),
    "names": ("view",),
    "notice": ("file",),
    "patches": ("file",),
    "path": ("file",),
    "payment_adjustment": ("payment",),
    "payment_term": ("in_arrears",),
    "percentage_discount": ("percent_off",),
    "period_from": ("from_",),
    "period_to": ("to",),
    "price": ("unit", "graduated", "volume", "package", "dynamic", "price", "minimum", "maximum"),
    "pro_rating": ("pro_rate",),
    "purchase": ("id",),
    "requests": ("file",),
    "service_period": ("from_", "to"),
    "service_period_to": ("to",),
    "settlement_mode": ("settlement",),
    "stored_at_lt": ("stored_before",),
    "unique_reference_id": ("reference",),
    "until_idle": ("once_idle",),
    "url": ("db",),
}
"""Parameters that have another name on the command line, or several options."""

OPTION_OF = {
    "catalogue.cost_bases:currency": "code",
    "catalogue.define_cost_basis:currency": "code",
    "catalogue.define_feature:key": "feature",
    "catalogue.define_meter:key": "meter",
    "catalogue.feature:key": "feature",
    "catalogue.meter:key": "meter",
    "charges.apply_patches:customer": "file",
    "charges.record_payment:charge": "id",
    "charges.void_purchase:charge": "id",
    "credits.sell:cost_basis": "cost_basis",
    "customers.create:key": "customer",
    "customers.delete:key": "customer",
    "customers.get:key": "customer",
    "invoices.edit_line:period": "from_",
    "open:clock": "now",
    "outside.deliver:to": "program",
    "projections.rollback:name": "view",
    "projections.verify:name": "view",
    "settings.change_policies:policies": "named",
    "usage.by_property:property": "by",
    "usage.import_csv:meters": "meter",
    "usage.import_csv:properties": "property",
    "usage.import_csv:time": "time_column",
    "usage.import_jsonl:meters": "meter",
    "usage.import_jsonl:properties": "property",
    "usage.import_jsonl:time": "time_column",
    "usage.record:events": "value",
}
"""The same for one method alone."""

IN_POLICY = "one of `--policy NAME=VALUE`, which takes every policy that a customer may have of its own"
NAMESPACE = "what holds for all is set with `ledger settings policy`; said in the default profile it would hide that"
BY_HAND = "a line by hand has it from its invoice, and another is refused"
GIVEN = "credit that is given away has no price: it is sold with `ledger credit sell`"
TABLES = "the tables beneath: what stands in them is asked through the groups"

WITHOUT: dict[str, str] = {
    "*:after": "the command reads all pages",
    "*:limit": "the command reads all pages",
    "*:at_least": "waits for another thread of the process that follows the log; a command brings its views up itself",
    "*:stale": "saves what a view is behind, which a command has time for",
    "*:progress": "a function; the command shows a bar where somebody is watching",
    "*:stop": "an object that is set; on the command line it is a signal",
    **{
        f"charges.{method}:source": "one source alone is taken, and it is the one that is sent"
        for method in ("extend", "shrink", "set_override")
    },
    "clock": "is called for every time; the command line has it from --now",
    "close": "a command closes what it opened",
    "customers.id_of": "the id of a stream: nothing on the command line takes one",
    "charges.created_within": "takes a decision in hand: a part of other commands",
    "dry_run": "the option --dry-run of every command that writes",
    "follower": TABLES,
    "open:create": "`ledger init` makes a ledger, and no other command does",
    "open:invoicing": "an object; `ledger outside deliver` hands what waits to a program",
    "open:probe": "a function, for fault tests",
    "open:taxes": "an object that is asked within the decision; a program cannot be rolled back",
    "periods.month": "turns a month into times; the commands take the month itself",
    "plan": "a dry run that is held and then committed; between two commands nobody holds it",
    "setbacks": "counted in a process, and a command's process ends with it; the commands tell them themselves",
    "settings.is_established": "a command on a ledger that is not there says so",
    "store": TABLES,
    "usage.record:stored_at": "for tests; --now of the command stands in for it",
    "usage_store": TABLES,
    "worker.run:told": "a function; the command prints a line for each pass",
    **{
        f"customers.{method}:{policy}": IN_POLICY
        for method in ("create", "change_profile")
        for policy in PER_CUSTOMER
        if policy != "usage_credit_cut"
    },
    **{f"settings.change_default_profile:{policy}": NAMESPACE for policy in PER_CUSTOMER},
    **{
        f"invoices.{method}:{name}": BY_HAND
        for method in ("add_fee", "add_usage")
        for name in ("customer", "currency", "settlement_mode", "cost_basis", "managed_by")
    },
    **{
        f"credits.grant:{name}": GIVEN
        for name in ("settlement", "cost_basis", "fiat_currency", "initial_status", "availability")
    },
}
"""What the command line has no option or command for, and why: a group, a method, or a parameter of one or of all."""


class Mirror(NamedTuple):
    """A method, the command that does the same, and its options by name."""

    method: str
    command: str
    options: frozenset[str]


def command_of(method: str) -> str:
    """The command that does what a method does, by its name or by the table."""
    return COMMAND.get(method, named_after(method))


def named_after(method: str) -> str:
    group, _, name = method.rpartition(".")
    return f"{GROUPS.get(group, group)} {name.replace('_', '-')}".strip()


def mirrored(command: str) -> frozenset[str]:
    return frozenset(parameter.name for parameter in COMMANDS[command].params)


def options_of(method: str, parameter: str) -> tuple[str, ...]:
    """The options that stand for a parameter."""
    alone = OPTION_OF.get(f"{method}:{parameter}")
    if alone is not None:
        return (alone,)
    return OPTIONS.get(parameter, (parameter,))


def reasons(method: str, parameter: str | None = None) -> Iterator[str]:
    """The entries of `WITHOUT` that speak of a method, or of a parameter."""
    group = method.partition(".")[0]
    keys = (f"{method}:{parameter}", f"*:{parameter}") if parameter is not None else (method, group)
    yield from dict.fromkeys(key for key in keys if key in WITHOUT)


EXPECTED = [method for method in METHODS if not list(reasons(method))]


def missing(method: str, tables: Mapping[str, Any] = COMMANDS) -> list[str]:
    """What of a method the command line lacks, by parameter; the command itself where there is none."""
    command = command_of(method)
    if command not in tables:
        return [f"no command `ledger {command}`"]
    there = mirrored(command)
    return [
        f"`ledger {command}` has nothing for {parameter}"
        for parameter in METHODS[method]
        if not there.issuperset(options_of(method, parameter)) and not list(reasons(method, parameter))
    ]


@pytest.mark.parametrize("method", EXPECTED)
def test_every_method_has_a_command_and_every_parameter_an_option(method: str) -> None:
    assert missing(method) == []


def test_the_walk_sees_the_groups_and_what_stands_behind_their_terms() -> None:
    assert {"charges.create_usage", "views.balance", "outside.tell", "periods.closed_until", "plan"} <= set(METHODS)
    assert "tax_behavior" in METHODS["charges.create_usage"]
    assert "metadata" in METHODS["credits.sell"]


@pytest.mark.parametrize("entry", WITHOUT)
def test_what_the_command_line_is_without_exists_in_the_library_and_not_on_it(entry: str) -> None:
    about, _, parameter = entry.partition(":")
    if not parameter:
        methods = [method for method in METHODS if entry in {method, method.partition(".")[0]}]
        assert methods, f"the library has no {entry}"
        assert entry not in EXPECTED
        assert not [method for method in methods if method in COMMAND or named_after(method) in COMMANDS]
        return
    having = [method for method in EXPECTED if about in {"*", method} and parameter in METHODS[method]]
    assert having, f"nothing in the library has {entry}"
    lacking = [
        method for method in having if not mirrored(command_of(method)).issuperset(options_of(method, parameter))
    ]
    assert lacking, f"the command line has {parameter} everywhere"
    if about != "*":
        assert list(reasons(about, parameter)) == [entry], "two entries for one thing"


@pytest.mark.parametrize("method", COMMAND)
def test_a_command_stands_in_the_table_only_where_its_name_does_not_tell(method: str) -> None:
    assert method in EXPECTED
    assert named_after(method) != COMMAND[method]


@pytest.mark.parametrize("parameter", OPTIONS)
def test_an_option_stands_in_the_table_only_where_its_name_does_not_tell(parameter: str) -> None:
    using = [
        method
        for method in EXPECTED
        if parameter in METHODS[method] and mirrored(command_of(method)).issuperset(OPTIONS[parameter])
    ]
    assert using
    assert OPTIONS[parameter] != (parameter,)


@pytest.mark.parametrize("entry", OPTION_OF)
def test_an_option_of_one_method_stands_in_the_table_only_where_it_has_to(entry: str) -> None:
    method, _, parameter = entry.partition(":")

    assert parameter in METHODS[method]
    assert OPTION_OF[entry] in mirrored(command_of(method))
    assert not mirrored(command_of(method)).issuperset(OPTIONS.get(parameter, (parameter,)))
