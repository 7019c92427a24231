"""A fake OpenAI-compatible endpoint on real sockets, which misbehaves as a test tells it to."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it, and how often its question had been asked before."""

    body: dict[str, Any]
    headers: dict[str, str]
    before: int

    @property
    def question(self) -> str:
        """The message with the texts in it."""
        return _question(self.body)

    @property
    def structured(self) -> bool:
        return "response_format" in self.body


def say(text: str | None, *, finish: str = "stop", tokens: tuple[int, int] | None = (10, 2)) -> Behaviour:
    """Answer with a text."""
    completion: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
    }
    if tokens:
        completion["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return status(200, completion)


def status(code: int, body: Any = "", **headers: str) -> Behaviour:
    """Answer with a status; a text that is not JSON goes out as HTML."""
    html = isinstance(body, str)
    content = (body if html else json.dumps(body)).encode()
    kind = b"text/html" if html else b"application/json"
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()).encode()

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER % (code, kind, len(content), lines) + content)

    return behave


async def cut(writer: asyncio.StreamWriter) -> None:
    """Promise an answer, send its beginning, hang up."""
    writer.write(ANSWER % (200, b"application/json", 500, b"") + b'{"choices": [')
    await writer.drain()
    writer.close()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Hang up without a word."""
    writer.close()


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte every 20 ms, for ever: no pause is long enough for a time limit on reading."""
    writer.write(ANSWER % (200, b"application/json", 10**6, b""))
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


def _question(body: dict[str, Any]) -> str:
    return next(message["content"] for message in body["messages"] if message["role"] == "user")


@dataclass
class FakeServer:
    """Answers each request with what ``plan`` says; counts them."""

    plan: Callable[[Asked], Behaviour]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    at_once: int = 0
    most_at_once: int = 0
    _seen: Counter[str] = field(default_factory=Counter)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:]) if k}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                question = _question(body)
                asked = Asked(body, headers, self._seen[question])
                self._seen[question] += 1
                self.asked.append(asked)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await asyncio.sleep(0.001)
                    await self.plan(asked)(writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went
        finally:
            writer.close()


@pytest.fixture
def fake() -> Iterator[SimpleNamespace]:
    """``start(plan)`` starts a server that ends with the test; the rest are what a plan can choose from."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listeners: list[asyncio.Server] = []

    def start(plan: Callable[[Asked], Behaviour]) -> FakeServer:
        server = FakeServer(plan)
        starting = asyncio.start_server(server.handle, "127.0.0.1", 0, backlog=1000)
        listening = asyncio.run_coroutine_threadsafe(starting, loop).result()
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        listeners.append(listening)
        return server

    async def end() -> None:
        for listening in listeners:
            listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    yield SimpleNamespace(start=start, say=say, status=status, cut=cut, hang_up=hang_up, drip=drip)
    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


_NETWORK_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_NAME_EVENTS = {"socket.getaddrinfo", "socket.gethostbyname"}
_watchers: list[list[str]] = []


def _is_loopback(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def _watch_sockets(event: str, args: tuple[Any, ...]) -> None:
    if not _watchers or event not in _NETWORK_EVENTS | _NAME_EVENTS:
        return
    if event in _NAME_EVENTS:
        host = args[0]
    elif isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return  # a socket of the file system, or one that is connected already
    if not _is_loopback(host):
        _watchers[-1].append(f"{event} {host!r}")
        pytest.fail(f"{event} to {host!r}, which is not on this machine", pytrace=True)


@pytest.fixture(scope="session")
def _socket_watch() -> None:
    sys.addaudithook(_watch_sockets)  # of the interpreter itself, so no client can go around it; it stays


@pytest.fixture
def loopback_only(_socket_watch: None) -> Iterator[list[str]]:
    """Fail whatever looks up or reaches a host beyond loopback, even where the failure was swallowed.

    Yields:
        What was attempted so far. Subprocesses are not watched.
    """
    attempts: list[str] = []
    _watchers.append(attempts)
    yield attempts
    _watchers.remove(attempts)
    assert not attempts, f"left this machine: {attempts}"
