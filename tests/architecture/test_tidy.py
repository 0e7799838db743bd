"""Habits a reader relies on, held by a test: files and functions of a size to read, nothing left lying about.

Whoever needs an exception writes its reason into a list; an exception that is no longer needed is a failure too, so
that the lists stay as short as they can be.
"""

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.support.source import PACKAGES, ROOT, Source, report, sources

LONGEST_FILE = 600
LONGEST_FUNCTION = 70
"""Lines of a function without decorators and docstring: what fits on a screen."""

LONG_FILES: dict[str, str] = {}
"""Path → why it is one file."""

LONG_FUNCTIONS: dict[str, str] = {}
"""`path:function` → why it is one function."""

OUR_PYTHON = (*PACKAGES, "scripts", "tests")
MAY_PRINT = ("ledger/cli/", "scripts/", "tests/")

# Written so that this file does not find itself.
LEFTOVERS = re.compile(r"\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")
OF_ONE_MACHINE = re.compile(r"(?<![\w.~-])/(work|tmp|home|root|Users|private|mnt)(/|\b)")
REGISTRIES = re.compile(r"py[p]i\.org|python[h]osted\.org|npm[j]s\.(org|com)|git[h]ub\.com|file:/{2}")
SKIPS = frozenset({"skip", "skipif", "skipUnless", "importorskip", "xfail"})
SETTINGS = ("pyproject.toml", ".gitignore", ".ci/run")


def functions(source: Source) -> Iterator[tuple[str, int, int]]:
    """Every function: its name, its line, its length without decorators and docstring."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, last = node.lineno, node.end_lineno or node.lineno
            docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            words = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring is not None else 0
            yield node.name, first, last - first + 1 - words


def long_functions(source: Source) -> Iterator[tuple[str, str]]:
    for name, line, length in functions(source):
        if length > LONGEST_FUNCTION:
            yield (
                f"{source.path}:{name}",
                source.breach(line, f"{name} has {length} lines, more than {LONGEST_FUNCTION}"),
            )


def prints(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "breakpoint"}:
            yield source.breach(node.lineno, f"{node.func.id}() belongs to the command line and to scripts")


def stubs(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and node.id == "NotImplementedError":
            yield source.breach(node.lineno, "what is not there yet is not written down yet")


def skips(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in SKIPS
            and ast.unparse(node).startswith(("pytest.", "unittest."))
        ):
            yield source.breach(node.lineno, f"{ast.unparse(node)}: a test passes or fails")


def lines_with(pattern: re.Pattern[str], path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        found = pattern.search(line)
        if found is not None:
            yield f"{path}:{number}: {found.group().strip()!r} in {line.strip()[:80]!r}"


def texts(*folders: str, endings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Path and text of every file under these folders, and at the top, that ends in one of these ways."""
    at_top = [path for path in ROOT.iterdir() if path.is_file()]
    below = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    for path in sorted([*at_top, *below]):
        if path.suffix in endings:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_file_is_too_long_to_read() -> None:
    lengths = {source.path: len(source.text.splitlines()) for source in sources(*OUR_PYTHON)}
    too_long = {path: length for path, length in lengths.items() if length > LONGEST_FILE}

    unexplained = [f"{path}:1: {length} lines" for path, length in too_long.items() if path not in LONG_FILES]

    assert not unexplained, report(unexplained)
    assert set(LONG_FILES) <= set(too_long), "an exception is no longer needed"


def test_every_function_fits_on_a_screen() -> None:
    too_long = dict(found for source in sources(*OUR_PYTHON) for found in long_functions(source))

    unexplained = [breach for key, breach in too_long.items() if key not in LONG_FUNCTIONS]

    assert not unexplained, report(unexplained)
    assert set(LONG_FUNCTIONS) <= set(too_long), "an exception is no longer needed"


def test_nothing_is_left_for_later() -> None:
    found = [
        breach
        for path, text in texts(*OUR_PYTHON, endings=(".py", ".md", ".sql", ".toml"))
        for breach in lines_with(LEFTOVERS, path, text)
    ]
    found += [breach for source in sources(*PACKAGES) for breach in stubs(source)]

    assert not found, report(found)


def test_nothing_points_to_one_machine() -> None:
    found = [
        breach
        for path, text in texts(*PACKAGES, "scripts", endings=(".py", ".md", ".sql", ".toml"))
        for breach in lines_with(OF_ONE_MACHINE, path, text)
    ]

    assert not found, report(found)


def test_settings_name_no_registry_to_install_from() -> None:
    found = [
        breach
        for name in SETTINGS
        for breach in lines_with(REGISTRIES, name, (ROOT / name).read_text(encoding="utf-8"))
    ]

    assert not found, report(found)


def test_only_the_command_line_and_scripts_print() -> None:
    quiet = [source for source in sources(*OUR_PYTHON) if not source.path.startswith(MAY_PRINT)]

    found = [breach for source in quiet for breach in prints(source)]

    assert not found, report(found)


def test_no_test_is_skipped() -> None:
    found = [breach for source in sources("tests") for breach in skips(source)]

    assert not found, report(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("line", ["# T" + "ODO later", "x = 1  # FIX" + "ME", "X" + "XX"])
def test_a_leftover_is_found(line: str) -> None:
    assert list(lines_with(LEFTOVERS, "sample.py", line))


@pytest.mark.parametrize("line", ["open('/tmp/x')", "see /work/main", "path = '/home/me/x'", "sqlite:////tmp/a.db"])
def test_a_place_of_one_machine_is_found(line: str) -> None:
    assert list(lines_with(OF_ONE_MACHINE, "sample.py", line))


@pytest.mark.parametrize("line", ["usr/lib/work", "network/tmpfs", "ledger/homework.py", "a / work", "./tmp/x"])
def test_what_only_looks_like_one_is_not(line: str) -> None:
    assert not list(lines_with(OF_ONE_MACHINE, "sample.py", line))


def test_a_long_function_is_found_and_its_docstring_is_free() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    words = '    """' + "why\n" * LONGEST_FUNCTION + '    """\n'

    assert list(long_functions(Source("sample.py", f"def f():\n{body}")))
    assert not list(long_functions(Source("sample.py", f"def f():\n{words}    x = 1\n")))


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (prints, "print('here')"),
        (prints, "breakpoint()"),
        (stubs, "raise NotImplementedError"),
        (skips, "pytest.skip('no server')"),
        (skips, "@pytest.mark.skipif(True, reason='')\ndef test(): ..."),
        (skips, "sqlite = pytest.importorskip('sqlite3')"),
    ],
)
def test_a_bad_habit_is_found(rule: Callable[[Source], Iterator[str]], line: str) -> None:
    assert list(rule(Source("sample.py", line)))
