"""Where the broker and its clients meet: the same rule as the broker's own.

Runtime folder: argument, `IBOUNCER_RUNTIME_DIR`, `RUNTIME_DIRECTORY`, `$XDG_RUNTIME_DIR/ibouncer`,
`~/.local/state/ibouncer/run`. The default instance lives in the folder itself, any other in
`instances/NAME` below it. Nothing is created here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ibouncer.errors import ClientError

DEFAULT_INSTANCE = "default"
# The kernel's limit is 108 with its NUL; the broker refuses to bind above this.
LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one instance's runtime folder."""

    instance: str
    runtime: Path

    @classmethod
    def resolve(
        cls,
        environment: Mapping[str, str],
        *,
        runtime_dir: str | Path | None = None,
        instance: str | None = None,
    ) -> Places:
        """Applies the rule; raises ClientError if there is no place to meet."""
        name = instance if instance is not None else environment.get("IBOUNCER_INSTANCE")
        if instance is None and not name:
            name = DEFAULT_INSTANCE
        if name is None or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name):
            raise ClientError(
                f"instance name {name!r} is not allowed: use 1 to 32 of a-z, 0-9, '-' and '_', "
                "beginning with a letter or digit",
                code="BAD_INSTANCE",
            )
        runtime = Path(runtime_dir) if runtime_dir is not None else _runtime(environment)
        if name != DEFAULT_INSTANCE:
            runtime = runtime / "instances" / name
        places = cls(name, runtime)
        length = len(str(places.socket).encode())
        if length > LONGEST_SOCKET_PATH:
            raise ClientError(
                f"socket path {places.socket} has {length} bytes, the limit is "
                f"{LONGEST_SOCKET_PATH}: choose a shorter runtime folder",
                code="SOCKET_PATH_TOO_LONG",
            )
        return places

    @property
    def socket(self) -> Path:
        """gRPC for clients of this user."""
        return self.runtime / "ibouncer.sock"

    @property
    def token(self) -> Path:
        """Bearer token of the TCP listener, one line."""
        return self.runtime / "token"

    @property
    def endpoints(self) -> Path:
        """Where a running broker listens, as JSON."""
        return self.runtime / "endpoints.json"


def _runtime(environment: Mapping[str, str]) -> Path:
    for name in ("IBOUNCER_RUNTIME_DIR", "RUNTIME_DIRECTORY"):
        if environment.get(name):
            return Path(environment[name])
    if environment.get("XDG_RUNTIME_DIR"):
        return Path(environment["XDG_RUNTIME_DIR"]) / "ibouncer"
    if environment.get("HOME"):
        return Path(environment["HOME"]) / ".local/state/ibouncer/run"
    raise ClientError(
        "no folder for sockets: set HOME, or name one with runtime_dir", code="NO_HOME"
    )
