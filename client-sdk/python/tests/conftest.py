"""Runs async tests, and keeps the environment of this machine out of them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PLACE_VARIABLES = (
    "IBOUNCER_TARGET",
    "IBOUNCER_TOKEN",
    "IBOUNCER_INSTANCE",
    "IBOUNCER_RUNTIME_DIR",
    "RUNTIME_DIRECTORY",
    "XDG_RUNTIME_DIR",
)
TEST_TIMEOUT = 30.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An `async def` test is run in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(_with_deadline(functools.partial(pyfuncitem.obj, **arguments)))
    return True


async def _with_deadline(test: Any) -> None:
    await asyncio.wait_for(test(), TEST_TIMEOUT)


@pytest.fixture(autouse=True)
def _no_broker_of_this_machine(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    for name in PLACE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IBOUNCER_RUNTIME_DIR", str(runtime))


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ib-") as folder:
        yield Path(folder)
