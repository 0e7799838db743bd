"""`ledger.settings`: the policies, the default billing profile and the tax codes of a namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from aggregates import namespaces
from aggregates.charges.intent import TaxConfig
from aggregates.customers import Profile
from aggregates.namespaces import (
    DefaultProfileChanged,
    NamespaceCreated,
    NamespaceState,
    PoliciesChanged,
    TaxSettings,
    TaxSettingsChanged,
)
from aggregates.policies import PER_CUSTOMER, LateUsage, Policies
from aggregates.values.errors import Findings
from aggregates.values.period import Duration
from ledger import validation
from ledger.commands import ProfileInput, TaxSettingsInput
from ledger.context import CommandId, Context
from ledger.units import Work

__all__ = ["PER_CUSTOMER", "Settings", "changed_policies"]


class SettingsAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a settings command."""

    namespace: str


def _whole(policies: Policies) -> Policies:
    """The policies with words made choices, once nothing is wrong with them."""
    findings = Findings()
    validation.built(Policies, findings, "policies", policies)
    every = getattr(policies, "periodic_runs", None)
    wrong = validation.why_too_often(every) if isinstance(every, Duration) else None
    if wrong is not None:
        findings.add("policies.periodic_runs", "too_short", wrong)
    validation.fail(findings)
    return validation.worded(policies, findings, "policies")


class Settings:
    """Read and change what holds for a whole namespace. Every change is an event."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self) -> NamespaceState:
        """Policies and default profile as they stand."""
        return self._context.look.settings()

    def is_established(self) -> bool:
        """Whether the namespace was ever opened for writing."""
        return self._context.repository.load(namespaces.stream(self._context.namespace)).state is not None

    def establish(self, policies: Policies | None) -> NamespaceState:
        """Open the namespace with these policies (the standard ones by default), unless it is open already."""
        stream = namespaces.stream(self._context.namespace)
        if self._context.repository.load(stream).state is None:
            wanted = _whole(policies if policies is not None else Policies.standard())
            created = NamespaceCreated(policies=wanted, profile=Profile())

            def decide(work: Work) -> SettingsAnswer:
                if work.state(stream) is None:
                    work.draft.emit(stream, created)
                return SettingsAnswer(self._context.namespace)

            self._context.send("settings.establish", "", created, None, answer=SettingsAnswer, decide=decide)
        return self.get()

    def change_policies(self, policies: Policies, *, command_id: CommandId = None) -> NamespaceState:
        """Let another bundle of policies hold from now on; what was decided before stays as it was.

        Raises `ValidationFailed`: every choice that is none, at once.
        """
        policies = _whole(policies)
        stream = namespaces.stream(self._context.namespace)

        def decide(work: Work) -> SettingsAnswer:
            present: NamespaceState | None = work.state(stream)
            if present is None or present.policies != policies:
                work.draft.emit(stream, PoliciesChanged(policies=policies))
            return SettingsAnswer(self._context.namespace)

        self._context.send("settings.change_policies", "", policies, command_id, answer=SettingsAnswer, decide=decide)
        return self.get()

    def change_default_profile(self, *, command_id: CommandId = None, **profile: Any) -> NamespaceState:
        """Replace the default billing profile. Runs that have started keep what they read (lifecycles §5.3).

        Raises `ValidationFailed`.
        """
        findings = Findings()
        command = validation.parse(ProfileInput, findings, **profile)
        validation.fail(findings)
        assert command is not None
        wanted = command.profile()
        stream = namespaces.stream(self._context.namespace)

        def decide(work: Work) -> SettingsAnswer:
            present: NamespaceState | None = work.state(stream)
            if present is None or present.profile != wanted:
                work.draft.emit(stream, DefaultProfileChanged(profile=wanted))
            return SettingsAnswer(self._context.namespace)

        self._context.send(
            "settings.change_default_profile", "", command, command_id, answer=SettingsAnswer, decide=decide
        )
        return self.get()

    def change_tax(
        self,
        codes: Iterable[str],
        *,
        invoicing: str | None = None,
        credit_grant: str | None = None,
        command_id: CommandId = None,
    ) -> NamespaceState:
        """Say which tax codes exist, and which one charges get that name none (lifecycles §2.2).

        `invoicing` is the default of usage and flat fees, `credit_grant` that of purchases; both are among `codes`.
        From then on a charge that names another code is refused (`tax_code_not_found`). Raises `ValidationFailed`.
        """
        findings = Findings()
        command = validation.parse(
            TaxSettingsInput, findings, codes=list(codes), invoicing=invoicing, credit_grant=credit_grant
        )
        validation.fail(findings)
        assert command is not None
        wanted = TaxSettings(
            codes=command.codes,
            invoicing=TaxConfig(tax_code_id=command.invoicing) if command.invoicing else None,
            credit_grant=TaxConfig(tax_code_id=command.credit_grant) if command.credit_grant else None,
        )
        stream = namespaces.stream(self._context.namespace)

        def decide(work: Work) -> SettingsAnswer:
            present: NamespaceState | None = work.state(stream)
            if present is None or present.tax != wanted:
                work.draft.emit(stream, TaxSettingsChanged(tax=wanted))
            return SettingsAnswer(self._context.namespace)

        self._context.send("settings.change_tax", "", command, command_id, answer=SettingsAnswer, decide=decide)
        return self.get()


def changed_policies(present: Policies, bundle: str | None, named: Mapping[str, str]) -> Policies:
    """The policies of a bundle, or the present ones, with those that are named changed to what is written.

    Raises `ValidationFailed`: `unknown_bundle`, `unknown_policy`, `invalid_policy`.
    """
    findings = Findings()
    bundles = {None: present, "standard": Policies.standard(), "reference": Policies.reference()}
    if bundle not in bundles:
        findings.add("bundle", "unknown_bundle", f"{bundle!r} is no bundle: standard or reference")
    before = bundles.get(bundle, present)
    changes: dict[str, Any] = {}
    for name, written in named.items():
        if name not in Policies.__struct_fields__:
            known = ", ".join(Policies.__struct_fields__)
            findings.add(name, "unknown_policy", f"{name!r} is no policy; they are {known}")
            continue
        try:
            changes[name] = _read_policy(getattr(before, name), written)
        except ValueError as error:
            findings.add(name, "invalid_policy", str(error))
    findings.raise_if_any()
    return msgspec.structs.replace(before, **changes)


def _read_policy(present: object, written: str) -> object:
    """What is written, as a policy of the same kind. Raises `ValueError`."""
    match present:
        case Duration():
            return Duration.parse(written)
        case LateUsage():
            return LateUsage.parse(written)
        case StrEnum():
            choices = {choice.value: choice for choice in type(present)}
            if written not in choices:
                msg = f"{written!r} is none of {', '.join(choices)}"
                raise ValueError(msg)
            return choices[written]
        case _:
            raise AssertionError(f"{present!r} is no policy")
