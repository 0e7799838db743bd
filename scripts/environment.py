"""The project's own environment: `.venv` beside `pyproject.toml`, made on first use and quick ever after.

Needs Python 3.11 or newer and the checkout, nothing else. A stamp inside `.venv` says what was installed
from which `pyproject.toml`; while it still holds, nothing is started and nothing is asked.

    python3 scripts/environment.py --extra dev

Pythons too old for the rest of the project read this file too, so that they can say so: its syntax is plain.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator  # noqa: UP035 - plain names for old Pythons

try:
    import fcntl
except ImportError:  # Windows has none; there, two scripts at once are on their own
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "ledger-environment.json"
OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")

INCLUDES = {"dev": ("test",)}
"""Extras that bring others with them, as `pyproject.toml` has it."""

HOW_TO_GET_PYTHON = """\
This project needs Python 3.11 or newer; this is {version} ({executable}),
and none of {names} on the PATH works.

Install one (for example `apt install python3.11 python3.11-venv`, `brew install python@3.13`, or
`uv python install 3.13`) and run the script with it: `python3.13 {script}`."""

HOW_TO_GET_VENV = """\
This Python cannot make a virtual environment: {reason}

On Debian and Ubuntu the missing part is a package of its own: `apt install python3-venv`
(or `python3.{minor}-venv`). Then run this script again."""

HOW_TO_INSTALL = """\
Installing the project's dependencies failed (exit code {code}).

pip's own words are above. Without a network, point pip to a folder of wheels (PIP_NO_INDEX=1
PIP_FIND_LINKS=/folder) and run this script again; what is already installed is kept."""


def ready(*extras: str) -> Path:
    """Return the environment's Python, with the project installed editable and what `extras` name.

    Makes the environment where there is none, and mends it where `pyproject.toml` or its place has changed.
    Ends the process with a message and exit code 2 where it cannot be done.
    """
    need_new_enough_python()
    with _one_at_a_time():
        stamp = _read_stamp()
        if _holds(stamp, extras):
            return PYTHON
        if _must_be_made_anew(stamp):
            _make()
        wanted = sorted({*extras, *_extras_of(stamp)})
        _install(wanted)
        _write_stamp(wanted)
    return PYTHON


def need_new_enough_python() -> None:
    """Go on under a newer Python of the PATH when this one is too old; end with advice when there is none."""
    if sys.version_info >= OLDEST:
        return
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found is not None and _is_new_enough(found):
            os.execv(found, [found, *sys.argv])  # does not return
    version = ".".join(str(part) for part in sys.version_info[:3])
    fail(
        HOW_TO_GET_PYTHON.format(
            version=version,
            executable=sys.executable,
            names=", ".join(NEWER_PYTHONS),
            script=" ".join(sys.argv),
        )
    )


def fail(message: str) -> None:
    """Say what is wrong and end with exit code 2."""
    sys.stdout.flush()
    sys.stderr.write(message.rstrip() + "\n")
    raise SystemExit(2)


def run(*arguments: str | Path) -> int:
    """Run a program in the project root, its output and the keyboard passed through; return its exit code."""
    command = [str(argument) for argument in arguments]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The program got the same signal and has the last word.
                continue


def _is_new_enough(executable: str) -> bool:
    """Whether it runs and is new enough: what the PATH names may be a shim of a version not installed."""
    check = "import sys; sys.exit(sys.version_info < {!r})".format(OLDEST)  # noqa: UP032 - plain syntax
    try:
        return subprocess.run([executable, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold a lock on the project folder itself, so that no lock file is left behind."""
    if fcntl is None:
        yield
        return
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


# ── The stamp ───────────────────────────────────────────────────────────────────────────────────────


def _read_stamp() -> dict[str, Any]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(extras: list[str]) -> None:
    stamp = {**_what_holds_now(), "extras": extras}
    STAMP.write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")


def _what_holds_now() -> dict[str, Any]:
    """What an installation depends on: the project file, where the checkout is, the environment's Python."""
    return {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "root": str(ROOT),
        "python": _version_of_environment(),
    }


def _version_of_environment() -> str:
    """Read from `pyvenv.cfg`, which is quicker than asking; empty where there is no usable environment."""
    try:
        lines = (VENV / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    settings = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    return settings.get("version", settings.get("version_info", ""))


def _extras_of(stamp: dict[str, Any]) -> list[str]:
    extras = stamp.get("extras", [])
    return extras if isinstance(extras, list) else []


def _holds(stamp: dict[str, Any], extras: tuple[str, ...]) -> bool:
    """Whether everything asked for is there: more extras than asked for do no harm."""
    there = set(_extras_of(stamp))
    there.update(*(INCLUDES.get(extra, ()) for extra in there))
    if not PYTHON.exists() or not there.issuperset(extras):
        return False
    return all(stamp.get(name) == value for name, value in _what_holds_now().items())


def _must_be_made_anew(stamp: dict[str, Any]) -> bool:
    """Whether `.venv` is missing, broken, too old, or was made elsewhere: its scripts name the old place."""
    if not PYTHON.exists() or not _is_new_enough(str(PYTHON)):
        return True
    return bool(stamp) and bool(stamp.get("root") != str(ROOT))


# ── Making it ───────────────────────────────────────────────────────────────────────────────────────


def _make() -> None:
    _say("Making .venv with Python {}.{}.{}".format(*sys.version_info[:3]))
    try:
        import ensurepip  # noqa: F401 - distributions leave it out, and then `venv` fails half-way
        import venv

        if VENV.is_symlink():
            VENV.unlink()  # an environment that is shared is not ours to empty
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(VENV)
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        fail(HOW_TO_GET_VENV.format(reason=error, minor=sys.version_info[1]))


def _install(extras: list[str]) -> None:
    what = f".[{','.join(extras)}]" if extras else "."
    _say(f"Installing the project and what it needs ({what})")
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
        # Environments made by other tools, or half made, come without.
        subprocess.run([PYTHON, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL, check=False)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
    done = subprocess.run([*pip, "--editable", what], cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        fail(HOW_TO_INSTALL.format(code=done.returncode))


def _say(message: str) -> None:
    sys.stderr.write(message + " ...\n")
    sys.stderr.flush()


def main() -> None:
    """Make the environment ready and name its Python."""
    parser = argparse.ArgumentParser(description="Make .venv ready: the project, editable, with its extras.")
    parser.add_argument(
        "--extra", action="append", default=[], choices=["test", "dev"], help="may be repeated; default: none"
    )
    print(ready(*parser.parse_args().extra))


if __name__ == "__main__":
    main()
