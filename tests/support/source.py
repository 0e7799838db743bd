"""The project's own source as data: which files there are, what they import, where a rule is broken.

The tests of architecture read files; they never import what they judge, so that a module which does not even
import is judged as well.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregates", "projections", "ledger")


@dataclass(frozen=True)
class Import:
    """One imported name: `from a.b import c` is `a.b` with the name `c`; `import a.b` has no name."""

    module: str
    name: str | None
    line: int


@dataclass(frozen=True)
class Source:
    """A Python file: where it lies, how it is imported, and its text."""

    path: str
    text: str

    @classmethod
    def at(cls, path: Path) -> "Source":
        return cls(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))

    @property
    def module(self) -> str:
        """`aggregates/values/money.py` is `aggregates.values.money`; a package goes by its folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def imports(self) -> Iterator[Import]:
        """Every import of the file, also those inside functions and under TYPE_CHECKING."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, None, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield from (Import(origin, alias.name, node.lineno) for alias in node.names)

    def breach(self, line: int, what: str) -> str:
        """How a broken rule is named: file, line, what is wrong there."""
        return f"{self.path}:{line}: {what}"

    def _origin(self, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        package = self.module.split(".")
        up = node.level - (1 if self.path.endswith("/__init__.py") else 0)
        base = package[: len(package) - up]
        return ".".join([*base, *([node.module] if node.module else [])])


def sources(*folders: str) -> list[Source]:
    """All Python files under these folders of the project; a folder that is not there has none."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Source.at(path) for path in sorted(found) if "__pycache__" not in path.parts]


def report(breaches: list[str]) -> str:
    """All breaches, one a line, under their number."""
    return "\n".join([f"{len(breaches)} found:", *breaches])
