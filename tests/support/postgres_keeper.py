"""Keeps one PostgreSQL server for as long as the process that asked for it lives, and not a moment longer.

Run as a program of its own, with its order as JSON in the first argument:

    bin       folder of `initdb` and `postgres`
    base      folder in which to make the server's own, temporary one
    user      whom to run the server as, or null for the present user
    settings  `name=value` settings of the server
    parent    process id of whoever asked

Answers one line of JSON on standard output, `{"folder": ...}` once the server accepts connections on its
socket there, or `{"error": ...}`. Ends when standard input closes or the parent is gone, be it by SIGKILL;
then the server is stopped and its folder removed. Only the standard library, to start in a few milliseconds.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

START_WITHIN = 60.0
STOP_WITHIN = 10.0
LOOK_EVERY = 0.5


class CannotServeError(Exception):
    """This server does not start; the text is what it said itself."""


def main() -> None:
    """Serve until nobody needs it any more."""
    order = json.loads(sys.argv[1])
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), lambda *_: sys.exit(0))
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir=order["base"]))
    server: subprocess.Popen[Any] | None = None
    try:
        if order["user"] is not None:
            shutil.chown(folder, order["user"])
            bring_within_reach(order, folder)
        make_cluster(order, folder)
        server = start(order, folder)
        wait_until_ready(server, folder)
        answer(folder=str(folder))
        keep(server, order["parent"])
    except (CannotServeError, OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
        answer(error=str(error) or repr(error))
    finally:
        if server is not None:
            stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def bring_within_reach(order: dict[str, Any], folder: Path) -> None:
    """Copy the programs where they can be run from, if they lie in a folder closed to the server's user.

    That is so where root has checked out the project at home and the programs came as a wheel. Their
    libraries lie beside the wheel's package, in `<package>.libs`, and are found relative to it.
    """
    programs = Path(order["bin"])
    try:
        subprocess.run([programs / "postgres", "--version"], **as_user(order, folder), capture_output=True, check=True)
    except PermissionError:
        installation, package = programs.parent, programs.parent.parent
        libraries = package.with_name(package.name + ".libs")
        for source in (installation, libraries):
            if source.exists():
                shutil.copytree(source, folder / source.relative_to(package.parent))
        order["bin"] = str(folder / programs.relative_to(package.parent))


def make_cluster(order: dict[str, Any], folder: Path) -> None:
    """Write the files of an empty server. Who may enter its folder may connect: that user alone."""
    command = [f"{order['bin']}/initdb", "--pgdata", f"{folder}/data", "--username", "ledger"]
    command += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
    done = subprocess.run(command, **as_user(order, folder), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotServeError(done.stderr.strip() or f"initdb ended with exit code {done.returncode}")


def start(order: dict[str, Any], folder: Path) -> "subprocess.Popen[Any]":
    """Start the server on a socket in its own folder; it listens on no network."""
    command = [f"{order['bin']}/postgres", "-D", f"{folder}/data", "-k", str(folder)]
    for setting in ("listen_addresses=", *order["settings"]):
        command += ["-c", setting]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, **as_user(order, folder), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def as_user(order: dict[str, Any], folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root, and nothing of the outer environment is meant for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    options: dict[str, Any] = {"cwd": folder, "env": {**kept, "LC_ALL": "C", "TZ": "UTC"}}
    if order["user"] is not None:
        options |= {"user": order["user"], "group": folder.stat().st_gid, "extra_groups": []}
    return options


def wait_until_ready(server: "subprocess.Popen[Any]", folder: Path) -> None:
    """Return when the server says `ready` in its pid file, which is how its own tools know."""
    pid_file, until = folder / "data" / "postmaster.pid", time.monotonic() + START_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        if pid_file.exists() and pid_file.read_text().rstrip().endswith("ready"):
            return
        time.sleep(0.01)
    log = (folder / "server.log").read_text(errors="replace").strip()
    raise CannotServeError(log[-2000:] or f"postgres was not ready within {START_WITHIN:.0f} s")


def keep(server: "subprocess.Popen[Any]", parent: int) -> None:
    """Wait for the end: standard input closes, the parent is gone, or the server has died.

    Children which the parent forked may hold our standard input open after it; hence the look at the parent.
    """
    while os.getppid() == parent and server.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], LOOK_EVERY)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            return


def stop(server: "subprocess.Popen[Any]") -> None:
    """Stop it at once: what it holds is thrown away."""
    if server.poll() is None:
        server.send_signal(signal.SIGQUIT)
    try:
        server.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def answer(**fields: str) -> None:
    """Tell whoever asked, if they still listen."""
    try:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - so that the interpreter's own flush is quiet


if __name__ == "__main__":
    main()
