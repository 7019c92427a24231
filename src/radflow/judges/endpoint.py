"""A judge behind any OpenAI-compatible endpoint: GPT-4o, vLLM, Ollama, llama.cpp.

The official client sends the requests; retries, waits and caps are ours (``conversation.py``,
``persistence.py``, ``spending.py``), so that nothing is sent without being counted. The client is an optional
package, imported when the first question is asked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from radflow.errors import MissingDependencyError, RadflowError, RecipeError
from radflow.judges.answers import Reply, read_reply
from radflow.judges.conversation import Conversation, Structure
from radflow.judges.failures import Failure, failure_of_status
from radflow.judges.persistence import Knobs
from radflow.judges.privacy import Address
from radflow.judges.questions import Answer, JudgeError, Question
from radflow.judges.spending import Spending

OWN_KEY = "RADFLOW_JUDGE_KEY"
OPENAI_KEY = "OPENAI_API_KEY"
_NO_KEY = "none"  # the client insists on one; servers of one's own ignore it


@dataclass(frozen=True, kw_only=True)
class Endpoint(Knobs):
    """Asks a language model over HTTP, many questions at once.

    The key is read from the environment for each :meth:`ask` and kept nowhere: ``RADFLOW_JUDGE_KEY`` for any
    host; ``OPENAI_API_KEY`` for hosts of openai.com alone, so that it is not handed to another server by
    mistake. A server of one's own may need none. Redirects are not followed, and a loopback address is never
    reached through a proxy: a text goes to the host that was named and to no other.

    Attributes:
        base_url: for example ``https://api.openai.com/v1`` or ``http://localhost:11434/v1``.
        model: as the server names it.
        max_calls: cap in requests over the life of this object, failed ones included; ``None`` is no cap.
        max_tokens: cap in tokens, as the server counts them; those under way when it is reached may lie above
            it.
        http_client: makes the HTTP client, given ``timeout``; for example a privacy gate's, which checks each
            request once more. ``None`` makes one that keeps to the paragraph above.
        spending: what has been spent so far.

    The other knobs are those of :class:`~radflow.judges.persistence.Knobs`.

    Raises:
        RecipeError: a knob does not say something that can be done.

    >>> Endpoint(base_url="http://localhost:8000/v1", model="m", max_calls=5).spending
    Spending(max_calls=5, max_tokens=None, calls=0, prompt_tokens=0, completion_tokens=0)
    """

    base_url: str
    model: str
    max_calls: int | None = None
    max_tokens: int | None = None
    http_client: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    spending: Spending = field(init=False, compare=False)
    _structure: Structure = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query:
            # Not quoted: it may hold a password.
            raise RecipeError(
                "base_url: expected an address like http://localhost:8000/v1, without a user, password or "
                f"query; got another. A key belongs into {OWN_KEY} in the environment."
            )
        spending = Spending(max_calls=self.max_calls, max_tokens=self.max_tokens)
        object.__setattr__(self, "spending", spending)
        object.__setattr__(self, "_structure", Structure(known=self.structured))

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Ask all questions; hand over each answer as it arrives.

        Args:
            questions: asked once each, even where two are the same.
            stored: called with a question's index and its answer as it arrives, in this thread, at most once
                a question. In a notebook, whose cells run in an event loop, it is called at the end.

        Raises:
            JudgeError: some questions have no answer; all others have been handed over before. It is a
                JudgeUnavailableError where asking later may help.
            MissingDependencyError: the client is not installed.
        """
        if questions:
            conversation = self._run(questions, stored)
            conversation.raise_for_missing(len(questions), f"{self.model} at {self.base_url}")

    def _run(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> Conversation:
        openai = _client_package()
        if not _in_event_loop():
            return asyncio.run(self._converse(openai, questions, stored))
        arrived: list[tuple[int, Answer]] = []  # a notebook's cell: the loop runs beside it
        run = partial(self._converse, openai, questions, lambda *one: arrived.append(one))
        try:
            with ThreadPoolExecutor(1) as beside:
                return beside.submit(lambda: asyncio.run(run())).result()
        finally:
            for index, answer in arrived:
                stored(index, answer)

    def check(self) -> None:
        """Return if it could be asked: the client is installed, and the host's key is set.

        Raises:
            JudgeError: no key, or one that cannot be sent.
            MissingDependencyError: the client is not installed.
        """
        _client_package()
        self._key()

    async def _converse(
        self, openai: ModuleType, questions: Sequence[Question], stored: Callable[[int, Answer], None]
    ) -> Conversation:
        timeout = openai.Timeout(None, connect=self.connect_timeout)  # the whole is timed in _send
        transport = (
            self.http_client(timeout=timeout)
            if self.http_client
            else openai.DefaultAsyncHttpxClient(
                follow_redirects=False, trust_env=not _is_loopback(self.base_url), timeout=timeout
            )
        )
        async with openai.AsyncOpenAI(
            base_url=self.base_url, api_key=self._key(), max_retries=0, http_client=transport
        ) as client:
            conversation = Conversation(
                self, self.spending, self._structure, partial(_send, openai, client, self)
            )
            await conversation.run(questions, stored)
        return conversation

    def _key(self) -> str:
        """The key for this host."""
        host = urlsplit(self.base_url).hostname or ""
        openai_host = host == "openai.com" or host.endswith(".openai.com")
        names = (OWN_KEY, OPENAI_KEY) if openai_host else (OWN_KEY,)
        key = next((value for name in names if (value := os.environ.get(name, "").strip())), "")
        if openai_host and not key:
            raise JudgeError(
                f"{host}: expected a key in {OWN_KEY} or {OPENAI_KEY}, got none. Set one of them."
            )
        if not (key.isascii() and key.isprintable()):
            raise JudgeError(
                f"{host}: expected a key of printable ASCII in {' or '.join(names)}, got other characters. "
                "Set it again."
            )
        return key or _NO_KEY


async def _send(
    openai: ModuleType, client: Any, endpoint: Endpoint, request: dict[str, Any]
) -> Reply | Failure:
    """One request, to its end or its time limit. A server may echo the key; it is taken out."""
    try:
        async with asyncio.timeout(endpoint.timeout):
            # extra_body goes out as it is; the way through the client's types costs milliseconds a request.
            response = await client.chat.completions.with_raw_response.create(
                model=endpoint.model, messages=[], extra_body=request
            )
    except openai.APIStatusError as error:
        failure = failure_of_status(error.status_code, error.response.headers, error.body)
        return replace(failure, what=_without_key(failure.what, client))
    except TimeoutError:
        return Failure(what=f"no whole answer within {endpoint.timeout:g} s", scope="call")
    except openai.APITimeoutError:
        return Failure(what=f"no connection within {endpoint.connect_timeout:g} s", scope="call")
    except openai.OpenAIError as error:
        if isinstance(error.__cause__, RadflowError):  # of a privacy gate, on the way out
            raise error.__cause__ from None
        trouble = type(error.__cause__ or error).__name__
        return Failure(what=f"no connection, or one that was cut ({trouble})", scope="call")
    reply = read_reply(_without_key(response.text, client))
    return reply or Failure(what="an answer that is no chat completion with a text in it", scope="call")


def _without_key(text: str, client: Any) -> str:
    return text if client.api_key == _NO_KEY else text.replace(client.api_key, "[key]")


def _client_package() -> ModuleType:
    try:
        import openai
    except ImportError as error:
        raise MissingDependencyError(
            "A judge behind an endpoint needs the package openai, which is not installed: "
            "pip install 'radflow[judge]'"
        ) from error
    return openai


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_loopback(base_url: str) -> bool:
    """Whether the host is this machine.

    >>> _is_loopback("http://127.0.0.1:8000/v1"), _is_loopback("https://api.openai.com/v1")
    (True, False)
    """
    url = urlsplit(base_url)
    return Address(scheme=url.scheme, host=url.hostname or "", port=None).loopback
