"""Chats, as people fine-tune vision-language models on them: the report is what the assistant says.

``messages`` with ``role`` and ``content`` and ``images`` beside them (TRL, LLaMA-Factory, ms-swift), where
the content is a text with ``<image>`` in it or a list of parts; or LLaVA's ``conversations`` with ``from``
and ``value``, and ``image``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CHATS = ("messages", "conversations")
_ASSISTANT = ("assistant", "gpt", "model", "bot")
_USER = ("user", "human")
_MADE = ("report", "images", "prompt")
_REFERENCES = ("image", "image_url", "url", "path")


def has_chats(names: Sequence[str]) -> bool:
    """Whether one of the columns is called as those of chats are."""
    return any(name in _CHATS for name in names)


def report_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a table of chats as `as_report` makes them; those of another table as they are.

    >>> report_columns(("id", "image", "conversations"))
    ('id', 'report', 'images', 'prompt')
    """
    if not has_chats(names):
        return names
    kept = tuple(name for name in names if name not in (*_CHATS, "image"))
    return kept + tuple(name for name in _MADE if name not in kept)


def as_report(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """A chat as a row with ``report``, ``images`` and ``prompt``; any other row as it is.

    A chat in which the assistant says nothing has an empty report.

    Returns:
        the fields, and what is wrong with the chat.

    >>> chat = [{"role": "user", "content": "<image>Report."}, {"role": "assistant", "content": "Clear."}]
    >>> as_report({"messages": chat, "images": ["a.png"]})
    ({'images': ['a.png'], 'report': 'Clear.', 'prompt': 'Report.'}, None)
    """
    name = next((name for name in _CHATS if _is_chat(fields.get(name))), None)
    if name is None:
        return fields, None
    turns = [(str(turn.get("role") or turn.get("from") or "").lower(), _parts(turn)) for turn in fields[name]]
    answers = [text for role, parts in turns if role in _ASSISTANT if (text := _text(parts))]
    kept = {key: value for key, value in fields.items() if key not in (*_CHATS, "image")}
    if not kept.get("images") and fields.get("image"):
        kept["images"] = fields["image"]
    if "report" not in kept:
        if len(answers) > 1:
            return kept, f"expected a chat with one message of the assistant, the report, got {len(answers)}"
        kept["report"] = answers[0] if answers else None
    pictures = [ref for _, parts in turns for part in parts if (ref := _reference(part)) is not None]
    if pictures and not kept.get("images"):
        kept["images"] = pictures
    asked = " ".join(_text(parts) for role, parts in turns if role in _USER)
    kept.setdefault("prompt", asked.replace("<image>", " ").strip())
    return kept, None


def _is_chat(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(t, Mapping) for t in value)
    )


def _parts(turn: Mapping[str, Any]) -> list[Any]:
    content = turn.get("content", turn.get("value"))
    return list(content) if isinstance(content, list) else [content]


def _text(parts: Sequence[Any]) -> str:
    return "\n".join(_texts(parts)).strip()


def _texts(parts: Sequence[Any]) -> Iterator[str]:
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield text


def _reference(part: Any) -> Any:
    """The picture that a part of a message names; ``None`` where it is text, or a place for one."""
    if not isinstance(part, Mapping):
        return None
    value = next((part[name] for name in _REFERENCES if part.get(name)), None)
    return value.get("url") if isinstance(value, Mapping) and "url" in value else value
