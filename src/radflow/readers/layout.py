"""Sentences, and the layouts in which several of them are one statement.

A heading that denies ("No:", "Negative for:", "The following are absent:") is one sentence with the lines or
items below it, and a question is one with its answer ("Effusion? No."). What ends such a list: a blank line,
another kind of line, or an item that is a statement of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """Characters ``text[start:end]`` of the text as it was given."""

    start: int
    end: int


@dataclass(slots=True)
class Sentence:
    """One sentence. Not frozen, because a frozen one takes thrice as long to make.

    Attributes:
        words: normalised words and the punctuation that carries scope.
        index: for each word, its position among ``TOKEN.findall(text)``, so evidence can be shown in place.
        opens: ``line`` or ``item`` where it starts a line or an item of a list.
    """

    words: Sequence[str]
    index: Sequence[int]
    opens: str = ""

    def span(self, tokens: Sequence[Span], start: int = 0, end: int | None = None) -> Span:
        """Characters of ``words[start:end]``, of the whole sentence by default.

        Args:
            tokens: :func:`tokens.token_spans` of the text that the sentence was read from.
        """
        index = self.index[start:end]
        return Span(tokens[index[0]].start, tokens[index[-1]].end)


_YES_OR_NO = frozenset({"yes", "no", "none", "nil", "absent", "present", "negative", "positive", "not"})
ANSWERS = _YES_OR_NO | {"n", "y", "normal", "seen", "possible", "possibly", "likely", "unlikely"}
"""Words that answer a question or stand behind the name of a finding in a form."""
_ANSWER_WORDS = ANSWERS | frozenset(
    {",", ":", "any", "evidence", "identified", "noted", "visible", "visualized", "detected"}
    | {"demonstrated", "today", "now", "definitely", "mild", "moderate", "severe", "small", "large"}
    | {"tiny", "trace", "minimal", "bilateral", "left", "right", "both", "side", "base", "apex", "lobe"}
    | {"zone", "upper", "middle", "mid", "lower", "apical", "basal", "basilar", "lobar", "new", "old"}
    | {"at", "in", "on", "the", "only", "and"}
)
_DENIES = frozenset({"no", "none", "negative", "absent", "without", "nil", "not", "excluded", "denied"})
_NEEDS_NO_COLON = frozenset({"no", "without", "negative"})
_LEADS_TO_A_LIST = frozenset(
    {":", "of", "for", "the", "following", "any", "evidence", "sign", "finding", "seen", "identified"}
    | {"present", "demonstrated", "noted", "detected", "visualized", "visible", "is", "are", "definite"}
    | {"acute", "all"}
)
_STATES = frozenset(
    {":", "?", "is", "are", "was", "were", "has", "have", "there", "no", "not", "without", "remain"}
    | {"appear", "seen", "show", "demonstrate", "normal", "unremarkable"}
)
_LONGEST_HEADING = 8  # words
_LONGEST_ITEM = 8


def joined(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Join headings that deny with their lists, and questions with their answers."""
    found: list[Sentence] = []
    heading = False  # whether the last of them is one, with its list or without
    items = ""  # how the items of that list open
    for sentence in sentences:
        if heading and sentence.opens and sentence.opens == (items or sentence.opens) and _is_item(sentence):
            items = sentence.opens
            found[-1] = _joined(found[-1], sentence)
            continue
        if found and found[-1].words[-1] == "?" and _answers(sentence.words):
            found[-1] = _joined(found[-1], sentence, drop=1)  # the question mark
        else:
            found.append(sentence)
        heading, items = _is_heading(found[-1].words), ""
    return found


def _is_heading(words: Sequence[str]) -> bool:
    """Whether a sentence ends in a denial of what is still to come."""
    if len(words) > _LONGEST_HEADING or (
        words[-1] != ":" and (len(words) > 2 or words[0] not in _NEEDS_NO_COLON)
    ):
        return False
    at = len(words) - 1
    while at > 0 and words[at] in _LEADS_TO_A_LIST:
        at -= 1
    return words[at] in _DENIES


def _is_item(sentence: Sentence) -> bool:
    return len(sentence.words) <= _LONGEST_ITEM and _STATES.isdisjoint(sentence.words)


def _joined(first: Sentence, second: Sentence, *, drop: int = 0) -> Sentence:
    """Two sentences as one; without the last ``drop`` words of the first."""
    end = len(first.words) - drop
    return Sentence([*first.words[:end], *second.words], [*first.index[:end], *second.index], first.opens)


def _answers(words: Sequence[str]) -> bool:
    """Whether a sentence is no more than the answer to the question before it."""
    begins = words[0] in _YES_OR_NO and (len(words) == 1 or words[1] == "," or words[0] == "yes")
    return begins or _ANSWER_WORDS.issuperset(words)
