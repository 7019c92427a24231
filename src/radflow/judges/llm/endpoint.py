"""A judge behind any OpenAI-compatible endpoint: GPT-4o, vLLM, Ollama, llama.cpp.

A plain HTTP client sends the requests; retries, waits and caps are ours (``conversation.py``,
``retry.py``), so that nothing is sent without being counted. Answers are read within bounds. The client is
an optional package, imported when the first question is asked.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from radflow import config
from radflow.errors import MissingDependencyError
from radflow.judges.llm.answers import Reply, read_json, read_reply
from radflow.judges.llm.conversation import Conversation, Server, Spending
from radflow.judges.llm.questions import Answer, JudgeError, Question
from radflow.judges.llm.retry import Failure, Retry, failure_of_status
from radflow.judges.privacy.gate import Gate

OWN_KEY = "RADFLOW_JUDGE_KEY"
OPENAI_KEY = "OPENAI_API_KEY"
_NO_KEY = "none"  # a server of your own ignores it
_LARGEST = 2**22  # bytes of an answer: 4 MiB, some hundred times the longest thoughts


class Endpoint:
    """Asks a language model over HTTP, many questions at once.

    The key is read from the environment for each :meth:`ask` and kept nowhere: ``RADFLOW_JUDGE_KEY`` for any
    host; ``OPENAI_API_KEY`` for hosts of openai.com alone, so that it is not handed to another server by
    mistake. A server of one's own may need none. Neither redirects nor proxies are followed: a text goes to
    the host that was named and to no other.

    An answer has at most 4 MiB and comes as it is, not compressed; anything else is a failed answer. A host
    that refuses the connection, or that no connection leads to, is given up at once as long as it never
    answered; one that did answer is waited for as ``retry`` says.

    Args:
        model: as the server names it.
        knobs: where it is, what is asked for, and the caps, which hold over the life of this object.
        retry: how persistently it is asked.
        http_client: makes the HTTP client, given ``timeout``; by default a privacy gate's, which checks each
            request once more.

    Attributes:
        spending: what has been spent so far.

    >>> Endpoint("m", config.Judge(base_url="http://localhost:8000/v1", max_calls=5)).spending
    Spending(max_calls=5, max_tokens=None, calls=0, tokens=0)
    """

    def __init__(
        self,
        model: str,
        knobs: config.Judge,
        *,
        retry: Retry | None = None,
        http_client: Callable[..., Any] | None = None,
    ) -> None:
        self.model, self.knobs, self.retry = model, knobs, retry or Retry()
        self.spending = Spending(max_calls=knobs.max_calls, max_tokens=knobs.max_tokens)
        self._http_client = http_client or Gate(knobs).http_client
        self._server = Server()

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Ask all questions; hand over each answer as it arrives.

        Args:
            questions: asked once each, even where two are the same.
            stored: called with a question's index and its answer as it arrives, in this thread, at most once
                per question. In a notebook, whose cells run in an event loop, it is called at the end.

        Raises:
            JudgeError: some questions have no answer; all others have been handed over before. It is a
                JudgeUnavailableError where asking later may help.
            MissingDependencyError: the client is not installed.
        """
        if questions:
            conversation = self._run(questions, stored)
            conversation.raise_for_missing(len(questions), f"{self.model} at {self.knobs.base_url}")

    def check(self) -> None:
        """Return if it could be asked: the client is installed, and the host's key is set.

        Raises:
            JudgeError: no key, or one that cannot be sent.
            MissingDependencyError: the client is not installed.
        """
        _client_package()
        self._key()

    def _run(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> Conversation:
        httpx = _client_package()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._converse(httpx, questions, stored))
        arrived: list[tuple[int, Answer]] = []  # a notebook's cell: the loop runs beside it
        run = partial(self._converse, httpx, questions, lambda *one: arrived.append(one))
        try:
            with ThreadPoolExecutor(1) as beside:
                return beside.submit(lambda: asyncio.run(run())).result()
        finally:
            for index, answer in arrived:
                stored(index, answer)

    async def _converse(
        self, httpx: ModuleType, questions: Sequence[Question], stored: Callable[[int, Answer], None]
    ) -> Conversation:
        key = self._key()
        timeout = httpx.Timeout(None, connect=self.retry.connect_timeout)  # the whole is timed in _send
        async with self._http_client(timeout=timeout) as client:
            send = partial(self._send, httpx, client, key)
            conversation = Conversation(self.knobs, self.retry, self.spending, self._server, send)
            await conversation.run(questions, stored)
        return conversation

    def _key(self) -> str:
        """The key for this host."""
        host = urlsplit(self.knobs.base_url).hostname or ""
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
        self, httpx: ModuleType, client: Any, key: str, request: dict[str, Any]
    ) -> Reply | Failure:
        """One request, to its end or its time limit. A server may echo the key; it is taken out."""
        url = f"{self.knobs.base_url.rstrip('/')}/chat/completions"
        headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        content = json.dumps({"model": self.model, **request}).encode()
        try:
            async with (
                asyncio.timeout(self.knobs.timeout),
                client.stream("POST", url, content=content, headers=headers) as response,
            ):
                self._server.answered = True
                return _understood(response, await _read(response), key)
        except TimeoutError:
            return Failure(what=f"no whole answer within {self.knobs.timeout:g} s", scope="call")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            what = f"no connection ({type(error).__name__})"
            if self._server.answered:
                return Failure(what=what, scope="call")
            return Failure(what=f"{what}, and nothing ever answered there", scope="endpoint")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = f"no connection, or one that was cut ({type(error).__name__})"
            return Failure(what=what, scope="call")


async def _read(response: Any) -> bytes | Failure:
    """The body as it came: compressed, a few bytes could become any number."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return Failure(what="a compressed answer, which was not asked for", scope="call")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _LARGEST:
            return Failure(what=f"an answer of more than {_LARGEST:,} bytes", scope="call")
    return bytes(body)


def _understood(response: Any, body: bytes | Failure, key: str) -> Reply | Failure:
    """What an answer says; of one that is no success, the status counts and the body may name the cause."""
    if response.is_success:
        if isinstance(body, Failure):
            return body
        reply = read_reply(body)
        if reply is None:
            return Failure(what="an answer that is no chat completion with a text in it", scope="call")
        return replace(reply, text=_without_key(reply.text, key))
    said = None if isinstance(body, Failure) else read_json(body)
    said = said.get("error", said) if isinstance(said, dict) else None
    failure = failure_of_status(response.status_code, response.headers, said)
    return replace(failure, what=_without_key(failure.what, key))


def _without_key(text: str, key: str) -> str:
    return text if key == _NO_KEY else text.replace(key, "[key]")


def _client_package() -> ModuleType:
    try:
        import httpx2
    except ImportError as error:
        raise MissingDependencyError(
            "A judge behind an endpoint needs the package httpx2, which is not installed: "
            "pip install 'radflow[judge]'"
        ) from error
    return httpx2
