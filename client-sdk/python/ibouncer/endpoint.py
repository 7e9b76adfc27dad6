"""Which broker to talk to, and how: target, token, channel options, metadata of every call.

Order: `target=`, `IBOUNCER_TARGET`, the Unix socket of the runtime folder if it exists, the `tcp`
address of endpoints.json, 127.0.0.1:4010. A token goes only over TCP; the token file that was
found by itself goes only to this machine, never to a host that someone named.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ibouncer.errors import BrokerNotFound, ClientError
from ibouncer.places import Places

DEFAULT_TCP = "127.0.0.1:4010"

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # Behind a big window a slow reader reads old ticks; behind a small one the broker conflates.
    ("grpc.http2.lookahead_bytes", 256 * 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # A proxy from the environment must not come between this and loopback.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# gRPC's core would send a Unix socket's path as :authority, which the broker's HTTP/2 refuses.
UNIX_OPTIONS: tuple[tuple[str, int | str], ...] = (("grpc.default_authority", "localhost"),)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One broker's address; `tried` says what was looked at before, `origin` who named it."""

    target: str
    client_name: str
    token: str | None = None
    token_file: Path | None = None
    tried: tuple[str, ...] = ()
    origin: str = ""

    @property
    def is_unix(self) -> bool:
        """True for a Unix socket."""
        return self.target.startswith("unix:")

    def options(self) -> list[tuple[str, int | str]]:
        """Options of the channel."""
        return [*CHANNEL_OPTIONS, *(UNIX_OPTIONS if self.is_unix else ())]

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a call. A token file is read anew: a restarted broker may have a new one."""
        name = ("x-client-name", self.client_name)
        if self.is_unix:
            return (name,)
        token = self.token
        if token is None and self.token_file is not None:
            token = _read_token(self.token_file)
        return (name, ("authorization", f"Bearer {token}")) if token else (name,)

    def not_found(self, detail: str) -> BrokerNotFound:
        """The error for an endpoint at which nobody answers."""
        return _not_found([*self.tried, f"{self.target}{self.origin}: {detail}"])


def find(
    environment: Mapping[str, str],
    *,
    target: str | None = None,
    token: str | None = None,
    name: str | None = None,
    instance: str | None = None,
    runtime_dir: str | Path | None = None,
) -> Endpoint:
    """Finds the broker; raises BrokerNotFound if there is nothing to connect to."""
    client_name = _printable(name or default_client_name())
    token = token or environment.get("IBOUNCER_TOKEN") or None
    named = target or environment.get("IBOUNCER_TARGET")
    if named:
        origin = "target" if target else "IBOUNCER_TARGET"
        address = _parse(named, origin)
        file = None
        if token is None and _is_loopback(address):
            file = Places.resolve(environment, runtime_dir=runtime_dir, instance=instance).token
        return Endpoint(address, client_name, token, file, origin=f" (from {origin})")

    places = Places.resolve(environment, runtime_dir=runtime_dir, instance=instance)
    if places.socket.is_socket():
        return Endpoint(f"unix:{places.socket.absolute()}", client_name)
    tried = [f"{places.socket}: no socket"]
    tcp = _tcp_of(places.endpoints, tried)
    if token is None and _read_token(places.token) is None:
        tried.append(f"{places.token}: no token for {tcp}")
        raise _not_found(tried)
    file = places.token if token is None else None
    return Endpoint(tcp, client_name, token, file, tuple(tried))


def default_client_name() -> str:
    """`program@host:pid`."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    if program in ("", "-c", "-m"):
        program = "python"
    return f"{program}@{socket.gethostname()}:{os.getpid()}"


def _parse(text: str, origin: str) -> str:
    if text.startswith("/"):
        return f"unix:{text}"
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path:
            return text
    else:
        host, _, port = text.rpartition(":")
        if host and port.isdecimal() and 0 < int(port) < 65536 and "/" not in text:
            return text
    raise ClientError(f"{origin} {text!r} is neither unix:/PATH nor HOST:PORT", code="BAD_TARGET")


def _is_loopback(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _tcp_of(endpoints: Path, tried: list[str]) -> str:
    try:
        found = json.loads(endpoints.read_text())
        tcp = found.get("tcp") if isinstance(found, dict) else None
    except OSError:
        tried.append(f"{endpoints}: not there")
        return DEFAULT_TCP
    except ValueError as error:
        tried.append(f"{endpoints}: not JSON ({error})")
        return DEFAULT_TCP
    if not isinstance(tcp, str) or not tcp:
        tried.append(f"{endpoints}: names no TCP address")
        return DEFAULT_TCP
    return _parse(tcp, str(endpoints))


def _read_token(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except (OSError, ValueError):
        return None


def _printable(name: str) -> str:
    """gRPC metadata holds printable ASCII only."""
    return "".join(char if " " <= char <= "~" else "?" for char in name).strip() or "python"


def _not_found(tried: list[str]) -> BrokerNotFound:
    return BrokerNotFound(
        f"no broker found; tried {'; '.join(tried)}. Start one with `ibouncer serve`, "
        "or name one with target= or IBOUNCER_TARGET",
        code="BROKER_NOT_FOUND",
        retry="after",
    )
