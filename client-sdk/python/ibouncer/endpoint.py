"""Which broker to talk to, and how: target, token, channel options, metadata of every call.

A target that is named (`target=`, `IBOUNCER_TARGET`) is the only one tried. Otherwise: the Unix
socket of the runtime folder if someone listens there; the `tcp` address of endpoints.json, where
null means that there is none; and for the default instance 127.0.0.1:4010. A token goes only over
TCP; the token file that was found by itself goes only to this machine, never to a host that
someone named.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from ibouncer.errors import BrokerNotFound, ClientError
from ibouncer.places import DEFAULT_INSTANCE, Places

DEFAULT_TCP = "127.0.0.1:4010"
# The broker refuses any other name.
FORBIDDEN_IN_NAME = re.compile(r"[^A-Za-z0-9._@:/+=-]")
LONGEST_NAME = 128

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # Behind a big window a slow reader reads old ticks; behind a small one the broker conflates.
    ("grpc.http2.lookahead_bytes", 256 * 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # A proxy from the environment must not come between this and loopback.
    ("grpc.enable_http_proxy", 0),
    # Channels share nothing: a new one tries at once, whatever happened to the one before it.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# gRPC's core would send a Unix socket's path as :authority, which the broker's HTTP/2 refuses.
UNIX_OPTIONS: tuple[tuple[str, int | str], ...] = (("grpc.default_authority", "localhost"),)


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM for a target that is `https://…`, as the environment names them."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None
    name: str | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Tls:
        """From IBOUNCER_TLS_CA, IBOUNCER_TLS_CERT, IBOUNCER_TLS_KEY and IBOUNCER_TLS_NAME."""
        ca = environment.get("IBOUNCER_TLS_CA")
        cert, key = environment.get("IBOUNCER_TLS_CERT"), environment.get("IBOUNCER_TLS_KEY")
        if not ca:
            raise ClientError(
                "nobody says whose certificates are believed: set IBOUNCER_TLS_CA to a file in "
                "PEM, or give credentials=grpc.ssl_channel_credentials(…)",
                code="BAD_TLS",
            )
        if bool(cert) != bool(key):
            raise ClientError("IBOUNCER_TLS_CERT and IBOUNCER_TLS_KEY go together", code="BAD_TLS")
        name = environment.get("IBOUNCER_TLS_NAME") or None
        return cls(Path(ca), Path(cert) if cert else None, Path(key) if key else None, name)

    def credentials(self) -> grpc.ChannelCredentials:
        """What stands in the files now: they may be renewed."""
        try:
            ca = self.ca.read_bytes()
            key = self.key.read_bytes() if self.key else None
            cert = self.cert.read_bytes() if self.cert else None
        except OSError as error:
            raise ClientError(f"{error.filename}: {error.strerror}", code="BAD_TLS") from error
        return grpc.ssl_channel_credentials(ca, key, cert)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One broker's address; `origin` says who named it."""

    target: str
    client_name: str
    token: str | None = None
    token_file: Path | None = None
    origin: str = ""
    tls: Tls | None = None

    @property
    def is_unix(self) -> bool:
        """True for a Unix socket."""
        return self.target.startswith("unix:")

    def options(self) -> list[tuple[str, int | str]]:
        """Options of the channel."""
        options = [*CHANNEL_OPTIONS, *(UNIX_OPTIONS if self.is_unix else ())]
        if self.tls is not None and self.tls.name:
            options.append(("grpc.ssl_target_name_override", self.tls.name))
        return options

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a call. A token file is read anew: a restarted broker may have a new one."""
        name = ("x-client-name", self.client_name)
        if self.is_unix:
            return (name,)
        token = self.token
        if token is None and self.token_file is not None:
            token = _read_token(self.token_file)
        return (name, ("authorization", f"Bearer {token}")) if token else (name,)


@dataclass(frozen=True, slots=True)
class Plan:
    """Addresses worth trying, best first, and what was ruled out by looking."""

    endpoints: tuple[Endpoint, ...]
    ruled_out: tuple[str, ...] = ()


def find(
    environment: Mapping[str, str],
    *,
    target: str | None = None,
    token: str | None = None,
    name: str | None = None,
    instance: str | None = None,
    runtime_dir: str | Path | None = None,
    secured: bool = False,
) -> Plan:
    """Looks at wishes, environment and the instance's files. `secured`: TLS is taken care of."""
    client_name = _allowed(name or "") or _allowed(default_client_name())
    token = token or environment.get("IBOUNCER_TOKEN") or None
    named = target or environment.get("IBOUNCER_TARGET")
    if named:
        origin = "target" if target else "IBOUNCER_TARGET"
        encrypted = named.startswith("https://")
        address = _parse(named.removeprefix("https://").rstrip("/") if encrypted else named, origin)
        tls = Tls.of(environment) if encrypted and not secured else None
        file = None
        # Whoever shows a certificate means to be known by it.
        certified = tls is not None and tls.cert is not None
        if token is None and _is_loopback(address) and not certified:
            file = Places.resolve(environment, runtime_dir=runtime_dir, instance=instance).token
        origin = f" (from {origin})"
        return Plan((Endpoint(address, client_name, token, file, origin, tls),))

    places = Places.resolve(environment, runtime_dir=runtime_dir, instance=instance)
    dead = _why_dead(places.socket)
    if dead is None:
        return Plan((Endpoint(f"unix:{places.socket.absolute()}", client_name),))
    ruled_out = [f"{places.socket}: {dead}"]
    addresses = _tcp_addresses(places, ruled_out)
    if addresses and token is None and _read_token(places.token) is None:
        ruled_out.append(f"{places.token}: no token for {' or '.join(addresses)}")
        addresses = []
    file = places.token if token is None else None
    endpoints = (Endpoint(address, client_name, token, file) for address in addresses)
    return Plan(tuple(endpoints), tuple(ruled_out))


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
    raise ClientError(
        f"{origin} {text!r} is neither unix:/PATH, HOST:PORT nor https://HOST:PORT",
        code="BAD_TARGET",
    )


def _is_loopback(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _why_dead(path: Path) -> str | None:
    """Why no broker can be reached at its Unix socket; None if someone listens there."""
    if not path.is_socket():
        return "no socket"
    with socket.socket(socket.AF_UNIX) as probe:
        # The kernel answers at once: nothing waits here.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return None  # Its queue is full, so it is there.
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None


def _tcp_addresses(places: Places, ruled_out: list[str]) -> list[str]:
    # The well-known port belongs to the default instance.
    well_known = [DEFAULT_TCP] if places.instance == DEFAULT_INSTANCE else []
    file = places.endpoints
    try:
        found = json.loads(file.read_text())
        tcp = found["tcp"]
        if tcp is None:
            ruled_out.append(f"{file}: the broker has no TCP listener")
            return []
        address = _parse(tcp, "tcp")
    except OSError:
        ruled_out.append(f"{file}: not there")
        return well_known
    except (ValueError, LookupError, TypeError, AttributeError, ClientError):
        ruled_out.append(f"{file}: names no TCP address")
        return well_known
    return [address, *(other for other in well_known if other != address)]


def _read_token(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except (OSError, ValueError):
        return None


def _allowed(name: str) -> str:
    """The name as the broker takes it."""
    return FORBIDDEN_IN_NAME.sub("_", name.strip())[:LONGEST_NAME]


def not_found(tried: Iterable[str]) -> BrokerNotFound:
    """The error when nobody answers."""
    return BrokerNotFound(
        f"no broker found; tried {'; '.join(tried)}. Start one with `ibouncer serve`, "
        "or name one with target= or IBOUNCER_TARGET",
        code="BROKER_NOT_FOUND",
        retry="after",
    )
