"""Finding the broker, reaching it, and what every call carries."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from pathlib import Path

import grpc
import pytest
from fake_broker import FakeBroker

import ibouncer
from ibouncer import endpoint
from ibouncer.places import Places


async def test_the_socket_of_the_runtime_folder_is_found(runtime: Path) -> None:
    async with FakeBroker(token="secret") as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect(name="mine") as session:
            assert session.target == f"unix:{runtime}/ibouncer.sock"
            status = await session.status()
        assert status.ready and status.mode == "paper" and status.accounts == ("DU***001",)
        assert status.since is not None and status.since.tzinfo is not None
        metadata = broker.calls[0][1]
        assert metadata["x-client-name"] == "mine"
        assert "authorization" not in metadata


async def test_tcp_of_endpoints_json_is_used_with_the_token_file(runtime: Path) -> None:
    async with FakeBroker(token="secret") as broker:
        port = await broker.start(tcp="127.0.0.1:0")
        (runtime / "endpoints.json").write_text(
            json.dumps({"schema": 1, "tcp": f"127.0.0.1:{port}"})
        )
        (runtime / "token").write_text("secret\n")
        async with ibouncer.connect() as session:
            assert session.target == f"127.0.0.1:{port}"
            assert [account.account for account in await session.accounts()] == ["DU0000001"]
        program, _, rest = broker.calls[0][1]["x-client-name"].partition("@")
        assert program and rest.partition(":")[2].isdecimal()


async def test_a_new_token_is_read_without_connecting_anew(runtime: Path) -> None:
    async with FakeBroker(token="one") as broker:
        port = await broker.start(tcp="127.0.0.1:0")
        (runtime / "token").write_text("one")
        async with ibouncer.connect(f"127.0.0.1:{port}") as session:
            await session.status()
            broker.token = "two"
            with pytest.raises(ibouncer.ClientError) as raised:
                await session.status()
            assert raised.value.code == "UNAUTHENTICATED" and raised.value.retry == "never"
            (runtime / "token").write_text("two")
            await session.status()


async def test_a_given_token_wins_over_the_file(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeBroker(token="given") as broker:
        port = await broker.start(tcp="127.0.0.1:0")
        (runtime / "token").write_text("wrong")
        monkeypatch.setenv("IBOUNCER_TARGET", f"127.0.0.1:{port}")
        async with ibouncer.connect(token="given") as session:
            await session.status()
        monkeypatch.setenv("IBOUNCER_TOKEN", "given")
        async with ibouncer.connect() as session:
            await session.status()


def test_the_token_file_is_not_sent_to_a_host_that_someone_named(runtime: Path) -> None:
    (runtime / "token").write_text("secret")
    environment = {"IBOUNCER_RUNTIME_DIR": str(runtime)}
    for target, sent in (("127.0.0.1:1", True), ("[::1]:1", True), ("broker.lan:1", False)):
        (found,) = endpoint.find(environment, target=target).endpoints
        assert ("authorization", "Bearer secret") in found.metadata() or not sent
        assert sent or len(found.metadata()) == 1


async def test_without_a_broker_the_error_names_what_was_tried(runtime: Path) -> None:
    with pytest.raises(ibouncer.BrokerNotFound) as raised:
        await ibouncer.connect().open()
    text = str(raised.value)
    for part in ("ibouncer.sock", "endpoints.json", "token", "127.0.0.1:4010", "ibouncer serve"):
        assert part in text
    assert isinstance(raised.value, ibouncer.BrokerUnavailable)


async def test_a_socket_that_nobody_serves_is_an_error_at_once(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(runtime / "ibouncer.sock"))
    with pytest.raises(ibouncer.BrokerNotFound, match="connection refused"):
        await asyncio.wait_for(ibouncer.connect().open(), 3)
    with pytest.raises(ibouncer.BrokerNotFound, match="nobody answers"):
        await asyncio.wait_for(ibouncer.connect(f"unix:{runtime}/ibouncer.sock").open(), 3)


async def test_behind_a_dead_socket_the_next_address_is_tried(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned, socket.socket() as unused:
        abandoned.bind(str(runtime / "ibouncer.sock"))
        unused.bind(("127.0.0.1", 0))
        (runtime / "token").write_text("secret")
        endpoints = runtime / "endpoints.json"
        endpoints.write_text(json.dumps({"tcp": f"127.0.0.1:{unused.getsockname()[1]}"}))
        async with FakeBroker(token="secret") as broker:
            port = await broker.start(tcp="127.0.0.1:0")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(endpoint, "DEFAULT_TCP", f"127.0.0.1:{port}")
                async with ibouncer.connect() as session:
                    assert session.target == f"127.0.0.1:{port}"
                    await session.status()


def test_a_listener_whose_queue_is_full_is_no_dead_one(runtime: Path) -> None:
    path = str(runtime / "ibouncer.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        assert targets({"IBOUNCER_RUNTIME_DIR": str(runtime)}) == [f"unix:{path}"]


def test_which_tcp_addresses_are_tried(runtime: Path) -> None:
    environment = {"IBOUNCER_RUNTIME_DIR": str(runtime), "IBOUNCER_TOKEN": "t"}
    well_known = "127.0.0.1:4010"
    live = runtime / "instances" / "live"
    live.mkdir(parents=True)
    for text, rest in (
        (None, [well_known]),
        ("{", [well_known]),
        ("[]", [well_known]),
        ('{"schema": 1}', [well_known]),
        ('{"tcp": ""}', [well_known]),
        ('{"tcp": 4010}', [well_known]),
        ('{"tcp": null}', []),
        ('{"tcp": "127.0.0.1:9"}', ["127.0.0.1:9", well_known]),
        ('{"tcp": "127.0.0.1:4010"}', [well_known]),
    ):
        for folder in (runtime, live):
            if text is not None:
                (folder / "endpoints.json").write_text(text)
        assert targets(environment) == rest, text
        # The well-known port belongs to the default instance.
        others = rest if text and "127" in text else []
        assert targets(environment, instance="live") == [
            address for address in others if address in text
        ]


async def test_another_instance_does_not_end_up_at_the_default_one(runtime: Path) -> None:
    with pytest.raises(ibouncer.BrokerNotFound) as raised:
        await ibouncer.connect(instance="live", token="t").open()
    assert "instances/live" in str(raised.value) and "4010" not in str(raised.value)


def targets(environment: dict[str, str], **wishes: str) -> list[str]:
    return [found.target for found in endpoint.find(environment, **wishes).endpoints]


async def test_a_listener_that_says_nothing_is_given_up_after_the_timeout(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(runtime / "ibouncer.sock"))
        mute.listen()
        with pytest.raises(ibouncer.BrokerNotFound, match=r"no answer within 0\.3 s"):
            await ibouncer.connect(timeout=0.3).open()


async def test_a_socket_path_is_not_sent_as_authority(runtime: Path) -> None:
    received = bytearray()
    over = asyncio.Event()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\x04\0\0\0\0\0")  # an empty SETTINGS frame
        while b"x-client-name" not in received:
            some = await reader.read(4096)
            if not some:  # Somebody looked whether anyone listens.
                break
            received.extend(some)
        else:
            over.set()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(on_client, str(runtime / "ibouncer.sock"))
    async with ibouncer.connect() as session:
        with pytest.raises(ibouncer.BrokerUnavailable):
            await session.status()
    await over.wait()
    server.close()
    assert b"localhost" in received
    assert b"ibouncer.sock" not in received


def test_a_target_is_a_socket_or_host_and_port() -> None:
    for target, meant in (
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("/run/a.sock", "unix:/run/a.sock"),
        ("localhost:4010", "localhost:4010"),
    ):
        assert targets({"HOME": "/h"}, target=target) == [meant]
    for wrong in ("localhost", "unix:", "http://localhost:1", "host:0", ":4010"):
        with pytest.raises(ibouncer.ClientError):
            endpoint.find({"HOME": "/h"}, target=wrong)


def test_places_follow_the_rule_of_the_broker() -> None:
    home = {"HOME": "/home/a"}
    xdg = {**home, "XDG_RUNTIME_DIR": "/run/user/7"}
    systemd = {**xdg, "RUNTIME_DIRECTORY": "/run/ib"}
    own = {**systemd, "IBOUNCER_RUNTIME_DIR": "/own"}

    def runtime_of(environment: dict[str, str], **wishes: str) -> str:
        return str(Places.resolve(environment, **wishes).runtime)

    assert runtime_of(home) == "/home/a/.local/state/ibouncer/run"
    assert runtime_of(xdg) == "/run/user/7/ibouncer"
    assert runtime_of(systemd) == "/run/ib"
    assert runtime_of(own) == "/own"
    assert runtime_of(own, runtime_dir="/flag") == "/flag"
    assert runtime_of({**home, "XDG_RUNTIME_DIR": ""}) == "/home/a/.local/state/ibouncer/run"
    assert runtime_of(xdg, instance="live") == "/run/user/7/ibouncer/instances/live"
    assert runtime_of({**xdg, "IBOUNCER_INSTANCE": "b"}).endswith("instances/b")
    for name in ("", "../up", "A", "-x", "a b", "x" * 33, "live\n"):
        with pytest.raises(ibouncer.ClientError):
            runtime_of(home, instance=name)
    with pytest.raises(ibouncer.ClientError, match="the limit is 100"):
        runtime_of(home, runtime_dir="/x" * 60)
    with pytest.raises(ibouncer.ClientError, match="HOME"):
        runtime_of({})


def test_a_client_name_is_one_that_the_broker_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(name: str | None) -> str:
        (found,) = endpoint.find({"HOME": "/h"}, target="unix:/a", name=name).endpoints
        ((key, value),) = found.metadata()
        assert key == "x-client-name"
        return value

    assert sent("a.b_c-d@e:1/f+g=H") == "a.b_c-d@e:1/f+g=H"
    assert sent("prix\n€, n#2\x7f") == "prix____n_2_"
    assert sent("y" * 200) == "y" * 128
    allowed = re.compile(r"[A-Za-z0-9._@:/+=-]{1,128}")
    for program in ("/a/my strategy (2).py", "/a/é\udcff#.py", "x" * 200, "", "-c"):
        monkeypatch.setattr(sys, "argv", [program])
        for name in (None, "", "  "):
            assert allowed.fullmatch(sent(name)), program
    monkeypatch.setattr(sys, "argv", ["my strategy.py"])
    assert sent(None) == f"my_strategy.py@{socket.gethostname()}:{os.getpid()}"


async def test_a_session_that_is_not_open_says_so() -> None:
    with pytest.raises(ibouncer.ClientError, match="async with"):
        await ibouncer.connect().status()


async def test_tls_credentials_are_used(runtime: Path) -> None:
    async with FakeBroker() as broker:
        port = await broker.start(tcp="127.0.0.1:0")
        credentials = grpc.ssl_channel_credentials()
        with pytest.raises(ibouncer.BrokerNotFound):
            await ibouncer.connect(f"127.0.0.1:{port}", credentials=credentials).open()
