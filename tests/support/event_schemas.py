"""The stored contract, written down: every stored name with its fields, and sample bytes of each.

`tests/golden/events.json` says what fields the event of a name has, and which names are released; below
`tests/golden/samples` is one file per name, a record a line, exactly as it would be stored. A released name keeps its
fields and its samples for ever: whatever is built later must read them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from msgspec import inspect

from aggregates.event import DomainEvent, Recorded
from aggregates.journal.postings import Transaction
from ledger.store import mapper
from ledger.store.names import stored_names

GOLDEN = Path(__file__).parents[1] / "golden"
EVENTS = GOLDEN / "events.json"
SAMPLES = GOLDEN / "samples"

Contract = dict[str, Any]


# ── what the contract says ───────────────────────────────────────────────────────────────────────────────────


def contract(names: Mapping[str, type[DomainEvent]] | None = None) -> Contract:
    """Fields of every event, and of every struct and enumeration they are made of."""
    types: dict[str, Any] = {}
    events = {name: _fields(_struct(cls), types) for name, cls in (names or stored_names()).items()}
    envelope = _struct(Recorded[Any])
    return {
        "envelope": {field.encode_name: _field(field, types) for field in envelope.fields if field.name != "body"},
        "events": events,
        "types": dict(sorted(types.items())),
    }


def _struct(cls: Any) -> inspect.StructType:
    described = inspect.type_info(cls)
    assert isinstance(described, inspect.StructType)
    return described


def _fields(struct: inspect.StructType, types: dict[str, Any]) -> dict[str, str]:
    return {field.encode_name: _field(field, types) for field in struct.fields}


def _field(field: inspect.Field, types: dict[str, Any]) -> str:
    return _text(field.type, types) + ("" if field.required else ", may be absent")


def _text(kind: inspect.Type, types: dict[str, Any]) -> str:
    """A type in a word or two; structs and enumerations are described once, under their name."""
    match kind:
        case inspect.StructType():
            return _named(kind.cls, types, lambda: {**_tag(kind), **_fields(kind, types)})
        case inspect.EnumType():
            return _named(kind.cls, types, lambda: [member.value for member in kind.cls])
        case inspect.UnionType():
            return " or ".join(_text(each, types) for each in kind.types)
        case inspect.VarTupleType() | inspect.ListType():
            return f"list of ({_text(kind.item_type, types)})"
        case inspect.TupleType():
            return f"[{', '.join(_text(each, types) for each in kind.item_types)}]"
        case inspect.DictType():
            return f"map of {_text(kind.key_type, types)} to ({_text(kind.value_type, types)})"
        case inspect.LiteralType():
            return " or ".join(json.dumps(value) for value in kind.values)
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _tag(struct: inspect.StructType) -> dict[str, str]:
    return {} if struct.tag_field is None else {struct.tag_field: f"always {json.dumps(struct.tag)}"}


def _named(cls: type[Any], types: dict[str, Any], describe: Callable[[], Any]) -> str:
    """The name under which a type is described; two of one name and different shape are told apart by their place."""
    name = cls.__name__
    if name in types and types[name] is None:
        return name  # being described just now: it holds its own kind
    before = types.get(name)
    types[name] = None
    shape = describe()
    types[name] = shape if before is None else before
    if types[name] == shape:
        return name
    apart = f"{cls.__module__.removeprefix('aggregates.')}.{name}"
    types[apart] = shape
    return apart


# ── samples ──────────────────────────────────────────────────────────────────────────────────────────────────


def samples(cls: type[DomainEvent]) -> list[bytes]:
    """Records of an event, every field filled in; one for every variant of what it is made of."""
    made: dict[bytes, None] = {}
    for variant in range(_variants(inspect.type_info(cls), set())):
        made[mapper.encode(_record(cls, variant))] = None
    return list(made)


def _record(cls: type[DomainEvent], variant: int) -> Recorded[Any]:
    sampler = _Sampler(variant)
    envelope = {
        field.name: sampler.value(field.type, field.name)
        for field in _struct(Recorded[Any]).fields
        if field.name != "body"
    }
    return Recorded(**{**envelope, "prev": "0f" * 32, "body": sampler.value(inspect.type_info(cls), "body")})


def _variants(kind: inspect.Type, inside: set[Any]) -> int:
    """How many samples show every variant of every union at least once."""
    if isinstance(kind, inspect.StructType):
        if kind.cls in inside:
            return 1
        return max((_variants(field.type, inside | {kind.cls}) for field in kind.fields), default=1)
    if isinstance(kind, inspect.UnionType):
        real = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return max(len(real), *(len(real) * _variants(each, inside) for each in real))
    inner = [getattr(kind, name) for name in ("item_type", "key_type", "value_type") if hasattr(kind, name)]
    return max((_variants(each, inside) for each in inner), default=1)


class _Sampler:
    """Makes a value of any type, the same one every time; later instants and larger numbers as it goes on."""

    def __init__(self, variant: int) -> None:
        self.variant = variant
        self.made = 0

    def value(self, kind: inspect.Type, name: str) -> Any:
        self.made += 1
        match kind:
            case inspect.StructType():
                values = {field.name: self.value(field.type, field.name) for field in kind.fields}
                if kind.cls is Transaction:
                    (entry,) = values["entries"]
                    values["entries"] = (entry, msgspec.structs.replace(entry, amount=-entry.amount))
                return kind.cls(**values)
            case inspect.EnumType():
                return list(kind.cls)[-1 - self.variant % len(kind.cls)]  # the first is often the default, and left out
            case inspect.UnionType():
                real = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
                return self.value(real[self.variant % len(real)], name)
            case inspect.VarTupleType():
                return (self.value(kind.item_type, name),)
            case inspect.ListType():
                return [self.value(kind.item_type, name)]
            case inspect.DictType():
                return {self.value(kind.key_type, name): self.value(kind.value_type, name)}
            case inspect.LiteralType():
                return kind.values[self.variant % len(kind.values)]
            case _:
                return self._plain(kind, name)

    def _plain(self, kind: inspect.Type, name: str) -> Any:
        match kind:
            case inspect.UUIDType():
                return UUID(int=0x0194_0000_0000_7000_8000_0000_0000_0000 + self.made)
            case inspect.DateTimeType():
                return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=self.made)
            case inspect.DateType():
                return date(2025, 1, 1) + timedelta(days=self.made)
            case inspect.DecimalType():
                return Decimal(f"{self.made}.50")
            case inspect.IntType():
                return 2
            case inspect.BoolType():
                return True
            case inspect.StrType():
                return name
            case _:
                raise AssertionError(f"no sample for {kind}: say here what one looks like")


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────


def written() -> Contract:
    """The contract as it is in the repository."""
    found: Contract = json.loads(EVENTS.read_text())
    return found


def written_samples() -> Iterator[tuple[str, bytes]]:
    """Every sample in the repository: stored name and bytes."""
    for path in sorted(SAMPLES.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            yield path.name.removesuffix(".jsonl"), line


def rewrite(*, release: bool = False) -> list[str]:
    """Write the contract and the samples of today. What it may not do is answered, and then nothing is written.

    A released name may neither change nor go: a change is a new version and an upcast of the old.
    """
    before = written() if EVENTS.exists() else {"released": {}}
    today = contract()
    released: dict[str, Any] = before["released"]
    broken = [name for name, shape in released.items() if name in today["events"] and whole(today, name) != shape]
    if broken:
        return [f"{name} is released and has changed; give it a new version and an upcast" for name in broken]
    if release:
        released = {**released, **{name: whole(today, name) for name in today["events"]}}
    sampled = {name: samples(cls) for name, cls in stored_names().items() if name not in before["released"]}
    EVENTS.parent.mkdir(exist_ok=True)
    SAMPLES.mkdir(exist_ok=True)
    EVENTS.write_text(json.dumps({**today, "released": released}, indent=2, ensure_ascii=False) + "\n")
    for path in SAMPLES.glob("*.jsonl"):
        if path.name.removesuffix(".jsonl") not in before["released"]:
            path.unlink()
    for name, lines in sampled.items():
        (SAMPLES / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return []


def whole(today: Contract, name: str) -> Any:
    """An event's fields together with all types they name, so that a change of one of those is seen."""
    types = today["types"]
    wanted, needed = [json.dumps(today["events"][name])], {}
    while wanted:
        text = wanted.pop()
        for type_name, shape in types.items():
            if type_name not in needed and type_name in text:
                needed[type_name] = shape
                wanted.append(json.dumps(shape))
    return {"fields": today["events"][name], "types": dict(sorted(needed.items()))}


def differences(golden: Contract, today: Contract) -> list[str]:
    """What is not as it is written down, a line each."""
    lines: list[str] = []
    for part in ("events", "types"):
        for name in sorted(golden[part].keys() | today[part].keys()):
            was, now = golden[part].get(name), today[part].get(name)
            if was != now:
                lines.append(f"{name}: {_change(was, now)}")
    if golden["envelope"] != today["envelope"]:
        lines.append(f"envelope: {_change(golden['envelope'], today['envelope'])}")
    return lines


def _change(was: object, now: object) -> str:
    if was is None:
        return "is new"
    return "is gone" if now is None else f"was {json.dumps(was)}, is {json.dumps(now)}"
