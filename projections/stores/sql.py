"""What both SQL databases share: conditions, and the wording of statements over the columns of a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aggregates.values.texts import why_unkeepable
from projections.projection import AnyProjection, Column, Kind, Projection
from projections.stores.tables import Where

GENERATIONS = "projection_generations"
"""One row per generation of a view: name, number, version, status, position."""

Encode = Callable[[Any], Any]
"""How a database wants the values of one kind."""


def listed(names: Sequence[str]) -> str:
    """Names of columns, quoted, with commas."""
    return ", ".join(f'"{name}"' for name in names)


def condition(
    projection: Projection[Any], where: Sequence[Where], mark: str, encoders: dict[Kind, Encode]
) -> tuple[str, list[Any]]:
    """The conditions as SQL with place marks, and the values for these."""
    parts: list[str] = []
    values: list[Any] = []

    def encoded(name: str, value: Any) -> Any:
        encode = encoders.get(projection.column(name).kind)
        return value if encode is None or value is None else encode(value)

    for column, operator, value in where:
        names = (column,) if isinstance(column, str) else column
        left = listed(names) if isinstance(column, str) else f"({listed(names)})"
        if isinstance(value, str) and why_unkeepable(value):
            parts.append("1 = 0")  # no row can hold it, and the database would refuse to look for it
            continue
        match operator:
            case "present" | "absent":
                parts.append(f"{left} IS {'NOT ' if operator == 'present' else ''}NULL")
            case "in":
                parts.append(f"{left} IN ({', '.join(mark for _ in value)})" if value else "1 = 0")
                values.extend(encoded(names[0], each) for each in value)
            case "starts":
                parts.append(f"substr({left}, 1, {len(value)}) = {mark}")
                values.append(value)
            case _ if isinstance(column, str):
                parts.append(f"{left} {operator} {mark}")
                values.append(encoded(column, value))
            case _:
                parts.append(f"{left} {operator} ({', '.join(mark for _ in names)})")
                values.extend(encoded(name, each) for name, each in zip(names, value, strict=True))
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


def ordering(projection: Projection[Any], order: Sequence[str], *, descending: bool, limit: int | None) -> str:
    """ORDER BY and LIMIT; what is null counts as the greatest, in both databases."""
    parts: list[str] = []
    for name in order:
        nulls = projection.column(name).nullable
        if descending:
            parts.append(f'"{name}" DESC{" NULLS FIRST" if nulls else ""}')
        else:
            parts.append(f'"{name}"{" NULLS LAST" if nulls else ""}')
    text = f" ORDER BY {', '.join(parts)}" if parts else ""
    return text if limit is None else f"{text} LIMIT {int(limit)}"


def table_ddl(
    projection: AnyProjection, table: str, types: dict[Kind, str], *, with_key: bool, suffix: str = ""
) -> str:
    """CREATE TABLE for a generation, with or without its primary key."""

    def line(column: Column) -> str:
        return f'"{column.name}" {types[column.kind]}{"" if column.nullable else " NOT NULL"}'

    lines = [line(column) for column in projection.columns]
    if with_key:
        lines.append(f"PRIMARY KEY ({listed(projection.key)})")
    return f'CREATE TABLE "{table}" ({", ".join(lines)}){suffix}'


def index_ddl(projection: AnyProjection, table: str) -> list[str]:
    """CREATE INDEX for everything but the primary key."""
    statements: list[str] = []
    for unique, groups in ((True, projection.unique), (False, projection.indexes)):
        for names in groups:
            kind = "UNIQUE INDEX" if unique else "INDEX"
            index = f"{table}_{'_'.join(names)}"
            statements.append(f'CREATE {kind} IF NOT EXISTS "{index}" ON "{table}" ({listed(names)})')
    return statements


def view_ddl(projection: AnyProjection, table: str) -> str:
    """The view of the projection's name that people query: its live generation, without rows that only prepare one."""
    shown = f' WHERE "{projection.shown_when}" IS NOT NULL' if projection.shown_when else ""
    return f'CREATE VIEW "{projection.name}" AS SELECT * FROM "{table}"{shown}'
