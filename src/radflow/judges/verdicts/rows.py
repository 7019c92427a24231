"""What one kept verdict is: whose it is, its key, its row, its line in an export.

The key is SHA-256 over judge, model, prompt version, kind of question and the texts, normalised: Unicode NFC,
every run of white space one space, none at the ends. Nothing else is touched. Case, punctuation, digits and
the order of sentences matter, because a judge may answer differently to each of them.

Texts are patients'. A row holds them only when asked to, and without them also nothing of what the judge said
but a bare answer: a judge that explains itself quotes the report.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from radflow.errors import DataError
from radflow.judges.llm.questions import TEXTS, Answer, Question, load_prompt

Of = tuple[str, str, str, str]
"""Judge, model, prompt, kind."""
SAID_BARE = 120
"""Longest bare answer, in characters."""
SAID_WITH_TEXTS = 400
"""What is kept of a longer answer where texts are kept too, in characters."""

_WORD = re.compile(r"\w+")
_ANSWER_WORDS = frozenset({"answer", "yes", "no"})


def _float(value: Any) -> float:
    if type(value) is not float:
        raise ValueError("expected a number with a point")
    return value


_Number = Annotated[float, BeforeValidator(_float), Field(allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


def shipped_prompts() -> dict[str, str]:
    """Kind of question -> version of the prompt that comes with radflow."""
    return {kind: load_prompt(kind).version for kind in TEXTS}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose verdicts: all that must be equal for an answer to be worth keeping for the next asker.

    Attributes:
        judge: the way of asking, ``openai`` or ``local``, with what else changes answers: ``openai/5 votes``.
        model: as the endpoint or the folder calls it.
        prompts: version of the prompt for each kind of question; those that come with radflow.
    """

    judge: str
    model: str
    prompts: Mapping[str, str] = field(default_factory=shipped_prompts)

    @property
    def name(self) -> str:
        """Judge and model in one word.

        >>> Identity(judge="openai", model="gpt-4o").name
        'openai:gpt-4o'
        """
        return f"{self.judge}:{self.model}"

    def key(self, question: Question) -> bytes:
        """The 32 bytes under which the verdict on a question is kept.

        Raises:
            DataError: there is no prompt for questions of this kind.
        """
        if question.kind not in self.prompts:
            raise DataError(
                f"judge {self.name!r}: expected a prompt for questions of kind {question.kind!r}, "
                f"got prompts for {', '.join(self.prompts) or 'none'}"
            )
        return verdict_key(self.judge, self.model, self.prompts[question.kind], question.kind, question.texts)


@dataclass(frozen=True, kw_only=True)
class StoredVerdict:
    """One verdict with where it came from; pydantic checks the lines of an export against its types.

    Attributes:
        key: see :func:`verdict_key`.
        judge, model: of the :class:`Identity`.
        prompt: version of the prompt.
        kind: of the question.
        verdict: yes or no, or the number of a grading.
        said: the judge's own words, cut short; empty where they could hold the report's.
        prompt_tokens, completion_tokens: paid for the question and the answer, over all calls.
        calls: requests it took.
        at: when it was answered, UTC, ISO 8601.
        texts: what was asked about; ``None`` unless texts are kept.
    """

    __pydantic_config__: ClassVar = ConfigDict(
        strict=True, extra="forbid", val_json_bytes="hex", ser_json_bytes="hex"
    )

    key: Annotated[bytes, Field(min_length=32, max_length=32)]
    judge: str
    model: str
    prompt: str
    kind: str
    verdict: bool | _Number
    said: str
    prompt_tokens: _Count
    completion_tokens: _Count
    calls: _Count
    at: str
    texts: tuple[str, ...] | None = None

    @property
    def of(self) -> Of:
        """What its statistics are kept by."""
        return self.judge, self.model, self.prompt, self.kind


COLUMNS = tuple(column.name for column in fields(StoredVerdict))
_LINES = TypeAdapter(StoredVerdict)


def normalise(text: str) -> str:
    r"""One spelling of texts that differ in white space or in the encoding of accents only.

    >>> normalise("No  effusion.\n Cafe\u0301.") == "No effusion. Caf\u00e9."
    True
    >>> normalise("NO EFFUSION.") == normalise("No effusion.")
    False
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def verdict_key(judge: str, model: str, prompt: str, kind: str, texts: Sequence[str]) -> bytes:
    """SHA-256 of everything that a verdict depends on; no two different questions run together.

    >>> ask = lambda *texts: verdict_key("openai", "gpt-4o", "1", "consistency", texts)
    >>> ask("Clear lungs.", "Normal.") == ask(" Clear  lungs.", "Normal."), ask("a b", "c") == ask("a", "b c")
    (True, False)
    """
    parts = [judge, model, prompt, kind, *map(normalise, texts)]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).digest()


def stored_verdict(
    identity: Identity, question: Question, answer: Answer, *, keep_texts: bool
) -> StoredVerdict:
    """Turn an answer that has just arrived into what is kept of it."""
    said = answer.said.encode("utf-8", "replace").decode().strip()
    return StoredVerdict(
        key=identity.key(question),
        judge=identity.judge,
        model=identity.model,
        prompt=identity.prompts[question.kind],
        kind=question.kind,
        verdict=answer.verdict,
        said=said[:SAID_WITH_TEXTS] if keep_texts else bare_answer(said, question.texts),
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        calls=answer.calls,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        texts=tuple(question.texts) if keep_texts else None,
    )


def bare_answer(said: str, texts: Sequence[str]) -> str:
    """What a judge said if it is short and repeats no word of the texts, otherwise nothing.

    >>> bare_answer("Yes.", ["No effusion.", "Normal."])
    'Yes.'
    >>> bare_answer("No, the left effusion is new.", ["Small left effusion.", "Normal."])
    ''
    """
    repeated = _words(said) - _ANSWER_WORDS
    return said if len(said) <= SAID_BARE and repeated.isdisjoint(_words(*texts)) else ""


def to_row(verdict: StoredVerdict) -> tuple[Any, ...]:
    """Column values in the order of ``COLUMNS``, then a hash over all of them."""
    texts = None if verdict.texts is None else json.dumps(verdict.texts)
    values = (*(getattr(verdict, name) for name in COLUMNS[:-1]), texts)
    return (*values, _check(values))


def from_row(row: Sequence[Any]) -> StoredVerdict | None:
    """The verdict in a row, or ``None`` where the row is not as it was written."""
    *values, check = row
    named = dict(zip(COLUMNS, values, strict=True))
    if named["verdict"] in (0, 1) and isinstance(named["verdict"], int):
        named["verdict"] = bool(named["verdict"])  # SQLite has no booleans; a number is a float
    if check != _check(named.values()):
        return None
    if named["texts"] is not None:
        named["texts"] = tuple(json.loads(named["texts"]))
    return StoredVerdict(**named)


def to_line(verdict: StoredVerdict) -> str:
    """One line of an export; ``texts`` is left out where they are not kept."""
    return json.dumps(_LINES.dump_python(verdict, mode="json", exclude_none=True)) + "\n"


def from_line(line: str) -> StoredVerdict:
    """Read what :func:`to_line` wrote.

    Raises:
        DataError: no JSON object, a field is missing, unknown or of another type, or the texts do not belong
            to the key.
    """
    try:
        verdict = _LINES.validate_json(line)
    except ValidationError as error:
        raise DataError(_explain(error.errors())) from None
    if verdict.texts is not None and verdict.key != verdict_key(*verdict.of, verdict.texts):
        raise DataError("expected a key that belongs to the texts, got another: the line was changed")
    return verdict


def _explain(errors: list[Any]) -> str:
    unlike = [one["loc"][0] for one in errors if one["type"] in ("missing", "unexpected_keyword_argument")]
    if unlike:
        return f"expected the fields {', '.join(COLUMNS)}; missing or unknown: {unlike}"
    if not errors[0]["loc"]:
        return f"expected a JSON object, got another line ({errors[0]['msg']})"
    return f"expected {errors[0]['loc'][0]} as radflow exports it, got {str(errors[0]['input'])[:40]!r}"


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in _WORD.findall(normalise(text).casefold())}


def _check(values: Any) -> bytes:
    return hashlib.blake2b(repr(tuple(values)).encode("utf-8", "replace"), digest_size=16).digest()
