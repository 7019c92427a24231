"""The privacy gate: what may leave this machine, and where it may go.

Two locks, and a judge behind an endpoint asks for both. **Where**: a URL on loopback is local; any other host
must be allowed in words (``allow_remote_text = true``) *and* be named. **What**: before text is sent,
identifiers are looked for and blocked, masked or passed, and counted.

Nothing is resolved to decide. A name is remote unless it is ``localhost``, whatever DNS says of it, and an
address is local only in its plain form (``127.0.0.0/8``, ``::1``): what two parsers could read in two ways
(``127.1``, ``2130706433``, ``localhost.``, ``user@host``, an IPv6 zone) is remote or refused.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radflow import config
from radflow.errors import RadflowError, RecipeError
from radflow.judges.privacy.identifiers import Kind, find_identifiers, mask_identifiers

if TYPE_CHECKING:
    import httpx2

_LOOPBACK_V4 = ipaddress.ip_network("127.0.0.0/8")
_LOOPBACK_V6 = ipaddress.ip_address("::1")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:[/?#][!-~]*)?",
    re.IGNORECASE,
)


# Not a PermissionError: that is an OSError, which code around a network takes for a fault to try again.
class PrivacyError(RadflowError, RuntimeError):
    """Text was about to leave the machine against the recipe's words. Nothing was sent."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a URL leads, as far as it can be read in one way only.

    The host is in small letters, an IPv6 address without its brackets; the port ``None`` if none is written.
    """

    scheme: str
    host: str
    port: int | None

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, literally."""
        if self.host == "localhost":
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return address == _LOOPBACK_V6 or (address.version == 4 and address in _LOOPBACK_V4)

    @property
    def reached_at(self) -> int:
        """The port, as written or the scheme's own."""
        return {"http": 80, "https": 443}[self.scheme] if self.port is None else self.port


def parse_address(url: str) -> Address:
    """Read scheme, host and port of a URL.

    Raises:
        PrivacyError: it is no plain http or https URL: user names, escapes in the host, zones, backslashes,
            white space, letters outside ASCII and other schemes (sockets) are refused.

    >>> parse_address("http://127.0.0.1:8000/v1").loopback, parse_address("https://127.0.0.1.nip.io").loopback
    (True, False)
    """
    match = _URL.fullmatch(url)
    if match is None:
        # The URL itself may hold a key or a password, so it is not repeated.
        raise PrivacyError(
            "Expected the URL of a judge as http(s)://host[:port][/path], without user name or special "
            f"characters in the host; got one that starts with {url[:4]!r}. Write it plainly."
        )
    port = None if match["port"] is None else int(match["port"])
    return Address(scheme=match["scheme"].lower(), host=match["host"].lower().strip("[]"), port=port)


class Gate:
    """Lets text out as the recipe says.

    Args:
        knobs: ``allow_remote_text``; ``hosts``, such as ``"api.openai.com"`` (https, any port),
            ``"llm.ward.example:8443"`` (that port), ``"http://llm.ward.example:8000"`` (named to be without
            encryption); and ``identifiers``.

    Attributes:
        found: how many identifiers of each kind :meth:`clean` has met so far, for the run's log.

    Raises:
        RecipeError: a host cannot be read.

    >>> gate = Gate(config.Judge(identifiers="mask"))
    >>> gate.check("http://localhost:11434/v1")
    >>> gate.clean(["Compared to 3/14/2019."]), dict(gate.found)
    (['Compared to [DATE].'], {'date': 1})
    """

    def __init__(self, knobs: config.Judge) -> None:
        self._knobs = knobs
        self._hosts = [_named(host) for host in knobs.hosts]
        self._counting = threading.Lock()
        self.found: Counter[Kind] = Counter()

    def check(self, url: str) -> None:
        """Return if text may be sent to this URL.

        Raises:
            PrivacyError: it may not, and why.
        """
        address, hosts = parse_address(url), self._knobs.hosts
        if address.loopback:
            return
        if not self._knobs.allow_remote_text:
            raise PrivacyError(
                f"Expected a judge on this machine, got the host {address.host!r}: its texts are about "
                "patients. Set allow_remote_text = true and name the host, if they may leave the machine."
            )
        named = [entry for entry in self._hosts if entry.host == address.host]
        if not named:
            raise PrivacyError(
                f"Expected a host among {', '.join(hosts) or 'none at all'}; got {address.host!r}. "
                "Add it to hosts, if texts may go there."
            )
        if not any(
            entry.scheme == address.scheme and entry.port in (None, address.reached_at) for entry in named
        ):
            raise PrivacyError(
                f"Expected {' or '.join(hosts)}, got {address.scheme} on port {address.reached_at} of "
                f"{address.host!r}. Use https and the port that is named, or name 'http://{address.host}'."
            )

    def clean(self, texts: Sequence[str]) -> list[str]:
        """Return the texts as they may be sent, and count what was found.

        Raises:
            PrivacyError: there are identifiers and the recipe says ``"block"``. It tells kinds and counts,
                never the text.
        """
        found = Counter(identifier.kind for text in texts for identifier in find_identifiers(text))
        with self._counting:
            self.found.update(found)
        if found and self._knobs.identifiers == "block":
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(found.items()))
            raise PrivacyError(
                f"Expected texts without identifiers, found some ({kinds}); nothing was sent. Remove them, "
                "or set identifiers = 'mask' or 'pass'."
            )
        return (
            [mask_identifiers(text) for text in texts] if self._knobs.identifiers == "mask" else list(texts)
        )

    def http_client(self, *, timeout: httpx2.Timeout | float = 60.0) -> httpx2.AsyncClient:
        """Return a client that cannot walk around the gate.

        Redirects are not followed; proxies, ``.netrc`` and certificates of the environment are not used; each
        request is checked again as it is sent. Connections are not limited: whoever asks bounds what is under
        way.

        Args:
            timeout: of each phase, seconds.
        """
        import httpx2

        return httpx2.AsyncClient(
            timeout=timeout,
            limits=httpx2.Limits(),
            follow_redirects=False,
            trust_env=False,
            event_hooks={"request": [self._check_request]},
        )

    async def _check_request(self, request: httpx2.Request) -> None:
        self.check(str(request.url))


def _named(host: str) -> Address:
    """Read one entry of the recipe's hosts; https unless it says http."""
    try:
        return parse_address(host if "://" in host else f"https://{host}")
    except PrivacyError:
        raise RecipeError(
            f"Expected a host as 'name', 'name:port' or 'http://name:port'; got {host!r}."
        ) from None
