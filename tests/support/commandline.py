"""A command line, run and looked at."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How a command line ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it answered under `--json`."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """What it refused with under `--json`."""
        return json.loads(self.err)["error"]


Run = Callable[..., Ended]
"""Runs a command line; `code` is how it has to end."""
