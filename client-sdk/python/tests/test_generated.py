"""What is generated and committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def check(tool: str) -> None:
    command = [sys.executable, str(TOOLS / tool), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_committed_stubs_are_those_of_the_schema() -> None:
    pytest.importorskip("grpc_tools")
    check("generate.py")


def test_the_blocking_types_are_those_of_the_asyncio_session() -> None:
    pytest.importorskip("ruff")
    check("generate_blocking.py")
