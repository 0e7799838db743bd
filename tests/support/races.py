"""Several processes that do their work at the same moment."""

from __future__ import annotations

import subprocess
import sys

from tests.support.source import ROOT


def race(program: str, url: str, arguments: list[list[str]]) -> list[subprocess.CompletedProcess[str]]:
    """Run a program in several processes that begin their work at the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, url, *each],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for each in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    done: list[subprocess.CompletedProcess[str]] = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done
