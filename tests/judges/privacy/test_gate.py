"""The gate: which hosts are this machine, which are named, and what becomes of identifiers."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from radflow import config
from radflow.errors import RadflowError, RecipeError
from radflow.judges.privacy.gate import Gate, PrivacyError, parse_address

SHUT = Gate(config.Judge())
LOCAL = (
    "http://127.0.0.1:8000/v1",
    "http://127.0.0.1",
    "http://127.8.9.10/",
    "https://127.0.0.1/v1",
    "http://localhost:11434/v1",
    "HTTP://LOCALHOST/v1",
    "http://[::1]:8080/v1",
    "http://[0:0:0:0:0:0:0:1]/",
)
NOT_LOCAL = (
    "https://api.openai.com/v1",
    "http://10.0.0.4:8000",
    "http://0.0.0.0:8000",
    "http://[::]:8000",
    "http://128.0.0.1",
    "http://169.254.1.1",
    "http://[fe80::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.0.0.1.nip.io/",
    "http://127.0.0.1./",
    "http://localhost./",
    "http://localhost.localdomain/",
    "http://sub.localhost/",
    "http://localhost.example.org/",
    "http://localtest.me/",
)
NOT_PLAIN = (
    "http://127.0.0.1@example.org/",
    "http://localhost:80@example.org/",
    "http://user:secret@127.0.0.1/",
    "http://example.org\\@127.0.0.1/",
    "http://127.0.0.1\\.example.org/",
    "http://127.0.0.1%2eexample.org/",
    "http://127.0.0.1\t.example.org/",
    "http://127.0.0.1\n",
    "http://127.0.0.1 .example.org/",
    "http://[::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://１２７.0.0.1/",
    "http://ⓛocalhost/",
    "http://[::1",
    "http:///v1",
    "http:127.0.0.1",
    "//127.0.0.1/",
    "127.0.0.1:8000",
    "",
    "unix:///tmp/judge.sock",
    "http+unix://%2Ftmp%2Fjudge.sock/v1",
    "file:///etc/hosts",
    "ftp://127.0.0.1/",
    "http://127.0.0.1:http/",
)


@pytest.mark.parametrize("url", LOCAL)
def test_loopback_is_local_while_the_gate_is_shut(url: str) -> None:
    SHUT.check(url)


@pytest.mark.parametrize("url", NOT_LOCAL)
def test_all_else_is_remote(url: str) -> None:
    with pytest.raises(PrivacyError, match="Expected a judge on this machine"):
        SHUT.check(url)


@pytest.mark.parametrize("url", NOT_PLAIN)
def test_what_can_be_read_in_two_ways_is_refused_by_an_open_gate_too(url: str) -> None:
    for gate in (SHUT, Gate(config.Judge(allow_remote_text=True, hosts=("example.org", "127.0.0.1")))):
        with pytest.raises(PrivacyError, match="Write it plainly") as raised:
            gate.check(url)
        assert "secret" not in str(raised.value)


@given(
    st.sampled_from(LOCAL + NOT_LOCAL + NOT_PLAIN),
    st.text("@\\/%#?:.[]1a \t", max_size=3),
    st.integers(0, 40),
)
def test_the_client_reads_the_same_host(url: str, put: str, at: int) -> None:
    changed = url[:at] + put + url[at:]
    try:
        address = parse_address(changed)
        theirs = httpx2.URL(changed)
    except (PrivacyError, httpx2.InvalidURL):
        return
    assert (theirs.scheme, theirs.host) == (address.scheme, address.host)


def test_a_name_that_resolves_to_loopback_is_not_looked_up(loopback_only: list[str]) -> None:
    with pytest.raises(PrivacyError):
        SHUT.check("http://localtest.me/")
    assert loopback_only == []


def test_a_host_must_be_allowed_in_words_and_named() -> None:
    with pytest.raises(PrivacyError, match="allow_remote_text = true"):
        Gate(config.Judge(hosts=("api.openai.com",))).check("https://api.openai.com/v1")
    with pytest.raises(PrivacyError, match="none at all"):
        Gate(config.Judge(allow_remote_text=True)).check("https://api.openai.com/v1")
    gate = Gate(config.Judge(allow_remote_text=True, hosts=("api.openai.com",)))
    gate.check("https://api.openai.com/v1")
    gate.check("https://API.openai.com:8443/v1")
    for url in ("https://openai.com/", "https://eu.api.openai.com/", "https://api.openai.com.evil.example/"):
        with pytest.raises(PrivacyError, match=r"Expected a host among api\.openai\.com"):
            gate.check(url)
    with pytest.raises(PrivacyError, match="Use https"):
        gate.check("http://api.openai.com/v1")


def test_a_port_and_plain_http_hold_as_named() -> None:
    gate = Gate(
        config.Judge(
            allow_remote_text=True, hosts=("a.example:8443", "http://b.example:8000", "http://c.example")
        )
    )
    for url in (
        "https://a.example:8443/v1",
        "http://b.example:8000",
        "http://c.example",
        "http://c.example:1",
    ):
        gate.check(url)
    for url in ("https://a.example/", "http://a.example:8443", "http://b.example", "https://b.example:8000"):
        with pytest.raises(PrivacyError, match="on port"):
            gate.check(url)
    Gate(config.Judge(allow_remote_text=True, hosts=("a.example:443",))).check("https://a.example/v1")


def test_what_a_recipe_says_wrongly() -> None:
    with pytest.raises(RecipeError, match="Expected a host as"):
        Gate(config.Judge(hosts=("user@host",)))
    with pytest.raises(ValidationError, match="'block', 'mask' or 'pass'"):
        config.Judge(identifiers="maks")


TEXTS = ("Seen by Dr. Smith on 3/14/2019.", "Clear lungs.", "Compared to 3/15/2019.")


def test_blocking_tells_kinds_and_counts_but_not_the_text() -> None:
    gate = Gate(config.Judge(identifiers="block"))
    with pytest.raises(PrivacyError, match=r"\(date 2, name 1\)") as raised:
        gate.clean(TEXTS)
    assert isinstance(raised.value, RadflowError)
    assert "Smith" not in str(raised.value)
    assert gate.found == {"date": 2, "name": 1}
    assert gate.clean(["Clear lungs."]) == ["Clear lungs."]


def test_masking_and_passing() -> None:
    mask, let_pass = Gate(config.Judge(identifiers="mask")), Gate(config.Judge(identifiers="pass"))
    assert mask.clean(TEXTS) == ["Seen by Dr. [NAME] on [DATE].", "Clear lungs.", "Compared to [DATE]."]
    assert let_pass.clean(TEXTS) == list(TEXTS)
    assert mask.found == let_pass.found == {"date": 2, "name": 1}
    assert mask.clean(mask.clean(TEXTS)) == mask.clean(TEXTS)


def test_counts_of_many_threads_add_up() -> None:
    gate = Gate(config.Judge(identifiers="mask"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: gate.clean(TEXTS), range(100)))
    assert gate.found == {"date": 200, "name": 100}


class _Redirects(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(307)
        self.send_header("Location", "http://198.51.100.7/v1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_redirects_and_proxies_lead_nowhere(
    monkeypatch: pytest.MonkeyPatch, loopback_only: list[str]
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://198.51.100.8:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with HTTPServer(("127.0.0.1", 0), _Redirects) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        async def ask() -> int:
            async with SHUT.http_client() as client:
                answer = await client.get(f"http://127.0.0.1:{server.server_port}/v1")
                with pytest.raises(PrivacyError):  # whoever turns redirects on meets the gate again
                    await client.get(str(answer.request.url), follow_redirects=True)
                with pytest.raises(PrivacyError):
                    await client.get("http://198.51.100.7/v1")
                return answer.status_code

        try:
            assert asyncio.run(ask()) == 307
        finally:
            server.shutdown()
            thread.join()
    assert loopback_only == []


def test_the_socket_guard_sees_every_way_out(loopback_only: list[str]) -> None:
    def lookup() -> None:
        socket.getaddrinfo("example.org", 443)

    def connect() -> None:
        with socket.socket() as out:
            out.connect(("198.51.100.7", 80))

    def connect_ex() -> None:
        with socket.socket() as out:
            out.connect_ex(("198.51.100.7", 80))

    def datagram() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as out:
            out.sendto(b"text", ("198.51.100.7", 53))

    def by_client() -> None:
        httpx2.get("http://198.51.100.7/", trust_env=False)

    async def asynchronously() -> None:
        await asyncio.open_connection("198.51.100.7", 80)

    ways = (lookup, connect, connect_ex, datagram, by_client, lambda: asyncio.run(asynchronously()))
    for way in ways:
        with pytest.raises(pytest.fail.Exception, match="not on this machine"):
            way()
    assert len(loopback_only) == len(ways)
    loopback_only.clear()
