"""`ledger.settings`: the policies and the default billing profile of a namespace."""

from __future__ import annotations

from typing import Any

import msgspec

from aggregates import namespaces
from aggregates.customers import Profile
from aggregates.namespaces import DefaultProfileChanged, NamespaceCreated, NamespaceState, PoliciesChanged
from aggregates.policies import Policies
from aggregates.values.errors import Findings
from ledger import validation
from ledger.commands import ProfileInput
from ledger.context import CommandId, Context
from ledger.units import Work


class SettingsAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a settings command."""

    namespace: str


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
            created = NamespaceCreated(policies=policies or Policies.standard(), profile=Profile())

            def decide(work: Work) -> SettingsAnswer:
                if work.state(stream) is None:
                    work.draft.emit(stream, created)
                return SettingsAnswer(self._context.namespace)

            self._context.send("settings.establish", "", created, None, answer=SettingsAnswer, decide=decide)
        return self.get()

    def change_policies(self, policies: Policies, *, command_id: CommandId = None) -> NamespaceState:
        """Let another bundle of policies hold from now on; what was decided before stays as it was."""
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
        wanted = Profile(**command.model_dump())
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
