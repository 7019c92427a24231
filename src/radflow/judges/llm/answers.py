"""What a language model answered: exactly one clear yes or no, or nothing.

A server with structured answers is given :data:`RESPONSE_FORMAT`; what comes back goes through the same
strict parser as free text, because a server may accept the format and not keep to it. Whatever leaves a doubt
is not an answer. Whatever a server sends, reading it is linear in its length and ends in a reply or nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

RESPONSE_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    },
}
"""The chat completion API's ``response_format`` for :func:`parse_answer`."""

_VERDICTS = {"yes": True, "no": False}
_THINK, _THOUGHT = "<think>", "</think>"  # reasoning models write these before they answer
_FENCE = "```"
_LONGEST = 2_000  # characters of an answer, its thoughts taken off: one word or sentence has fewer
_MOST_TOKENS = 2**31  # of one answer; a larger number is none
_SENTENCE = re.compile(r"(yes|no)(?:\s*[,;:–—-]\s*([^.!?\n]+))?[.!]?", re.IGNORECASE)
_DOUBT = re.compile(
    r"\b(?:yes|no|not|never|cannot|but|however|although|though|unless|except|partly|partially|maybe|perhaps|"
    r"unclear|uncertain)\b|n['’]t\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One chat completion: what was said, whether it ended by itself (not by a limit or a filter), and the
    tokens as reported, otherwise ``None``."""

    text: str
    whole: bool
    prompt_tokens: int | None
    completion_tokens: int | None


def parse_answer(said: str) -> bool | None:
    """Read one clear yes or no; ``None`` where there is any doubt.

    Clear is a JSON object with the one key ``answer``, the word alone, or one sentence that begins with the
    word and a mark and neither denies nor hedges after it. "No contradiction" begins with no and means yes,
    so a bare "no" before other words is not clear.

    >>> parse_answer('{"answer": "yes"}'), parse_answer("No."), parse_answer("Yes, the conclusion follows.")
    (True, False, True)
    >>> parse_answer("No contradiction found."), parse_answer("Yes, but the side differs."), parse_answer("")
    (None, None, None)
    """
    text = said.strip()
    if text.startswith(_THINK):
        text = text.partition(_THOUGHT)[2].strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith(_FENCE) and text.endswith(_FENCE) and len(text) >= 2 * len(_FENCE):
        text = text.removeprefix(_FENCE).removesuffix(_FENCE).removeprefix("json").strip()
    if text.startswith("{"):
        return _parse_object(text)
    sentence = _SENTENCE.fullmatch(text.strip("*_\"'` \n"))
    if not sentence or (sentence[2] and _DOUBT.search(sentence[2])):
        return None
    return _VERDICTS[sentence[1].lower()]


def read_json(body: str | bytes) -> Any:
    """A body as JSON, which is Unicode whatever charset is declared; ``None`` where it is none.

    >>> read_json(b'{"error": {"code": 7}}'), read_json("<html>"), read_json("9" * 5000)
    ({'error': {'code': 7}}, None, None)
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_reply(body: str | bytes) -> Reply | None:
    """Read the first choice of a chat completion; ``None`` where the body is not one with a text in it.

    >>> body = '{"choices": [{"finish_reason": "stop", "message": {"content": "yes"}}]}'
    >>> read_reply(body)
    Reply(text='yes', whole=True, prompt_tokens=None, completion_tokens=None)
    >>> read_reply("<html>busy</html>") is None and read_reply('{"choices": []}') is None
    True
    """
    completion = read_json(body)
    try:
        choice = completion["choices"][0]
        text = choice["message"]["content"]
        text.encode()  # half a character, as JSON can spell it, can be neither stored nor shown
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    usage = completion.get("usage")
    return Reply(
        text=text,
        whole=choice.get("finish_reason") in ("stop", None),
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _parse_object(text: str) -> bool | None:
    try:
        entries = json.loads(text, object_pairs_hook=list)  # a list of pairs shows a key that is there twice
    except (ValueError, RecursionError):
        return None
    match entries:
        case [("answer", str(word))]:
            return _VERDICTS.get(word.strip().lower())
    return None


def _count(usage: object, name: str) -> int | None:
    """A number of tokens, where one is reported that can be one."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count < _MOST_TOKENS else None
