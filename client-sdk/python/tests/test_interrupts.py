"""Ctrl-C in blocking calls, wherever it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_blocking import fake_program

PROGRAM = Path(__file__).with_name("interrupted_calls.py")
ROUNDS = 250


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such timer")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_call_that_is_interrupted_anywhere_leaves_nothing_behind(
    runtime: Path, seed: int
) -> None:
    with fake_program(runtime / "ibouncer.sock"):
        program = subprocess.run(
            [sys.executable, "-W", "error", PROGRAM, str(ROUNDS), str(seed)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert program.returncode == 0, program.stderr
    report = json.loads(program.stdout)
    assert sum(report["made"].values()) == ROUNDS and len(report["made"]) == 5
    assert report["broken"] == []
    assert report["ticks"] >= 3, "its stream goes on"
    assert report["left"] == 0, "work that nobody waits for is cancelled"
    # The exceptions themselves may be said; work that nobody began is a mistake.
    assert "never awaited" not in program.stderr, program.stderr
