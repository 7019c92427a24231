"""Why a report got its CheXpert labels: for every statement the phrase, where it stands, and the rule.

The labels are those of :func:`~radflow.readers.chexpert.chexpert_rules`, from the same statements; here each
is traced back to the text. Statements that did not count are shown too: those set aside ("history of"), and
those overruled by a stronger one elsewhere in the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radflow.readers.chexpert import Statement, scope_of, statements, strongest
from radflow.readers.labels import State
from radflow.readers.lexicon import Entry, Match
from radflow.readers.scope import Mention, Reading, likely
from radflow.readers.tokens import Sentence, Span, token_spans

__all__ = ["NO_FINDING", "Evidence", "Explanation", "Span", "explain"]

NO_FINDING = "no other observation, Support Devices aside, is stated or hedged"
"""The rule behind No Finding. It rests on the whole report, so no evidence points at it."""

_WHOLE = "said of the chest as a whole"
_ALTERNATIVES = frozenset({"alternative", "or"})
_DOES: dict[str, str] = {
    "absent": "denies",
    "uncertain": "hedges",
    "aside": "another time, or only asked for: not counted",
}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One statement of a report about one observation.

    Attributes:
        observation: one of :data:`~radflow.readers.CHEXPERT_OBSERVATIONS`; never No Finding.
        state: 1 stated, -1 hedged, 0 denied, ``None`` set aside.
        phrase: characters of the phrase that names the observation, the structure, or health as a whole.
        sentence: characters of its sentence, without the full stop.
        cue: characters of the word that negates, hedges or sets aside; ``None`` where nothing does.
        quality: characters of what is said of a structure, such as ``enlarged``; ``None`` for other phrases.
        rule: what decided, in words.
        source: the groups of the lexicon that hold the phrase and the cue.
        decisive: whether the label has this state; ``False`` where a stronger statement overrules it.
    """

    observation: str
    state: State
    phrase: Span
    sentence: Span
    cue: Span | None
    quality: Span | None = None
    rule: str
    source: str
    decisive: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The labels of one report and what they rest on, in the order of the text."""

    labels: Mapping[str, State]
    evidence: tuple[Evidence, ...]


def explain(text: str, extra: Path | None = None) -> Explanation:
    """Label one report and say why.

    Args:
        text: a whole report or a section. All positions count its characters.
        extra: a lexicon of your own; see :func:`~radflow.readers.chexpert.chexpert_labeler`.

    >>> text = "No pleural effusion. Heart size is normal."
    >>> for evidence in explain(text).evidence:
    ...     print(evidence.observation, evidence.state, text[slice(*evidence.phrase)], "|", evidence.rule)
    Pleural Effusion 0 pleural effusion | 'No' before it denies
    Cardiomegaly 0 Heart size | 'Heart size' is 'normal'
    """
    read = scope_of(extra).read(text)
    said = [(reading, statement) for reading in read for statement in statements(reading)]
    labels = strongest(statement for _, statement in said)
    tokens = token_spans(text)
    evidence = [
        _evidence(_Place(text, tokens, reading.sentence), reading, statement, labels)
        for reading, statement in said
    ]
    return Explanation(labels=labels, evidence=tuple(sorted(evidence, key=lambda e: e.phrase)))


@dataclass(frozen=True)
class _Place:
    """One sentence in its text."""

    text: str
    tokens: Sequence[Span]
    sentence: Sentence

    def span(self, match: Match) -> Span:
        return self.sentence.span(self.tokens, match.start, match.end)

    def quote(self, match: Match) -> str:
        return "'" + " ".join(self.text[slice(*self.span(match))].split()) + "'"


def _evidence(place: _Place, reading: Reading, statement: Statement, labels: Mapping[str, State]) -> Evidence:
    observation, state, mention, quality = statement
    cue = mention.cue if quality is None else quality.cue
    used = [mention.match, *([quality.match] if quality else []), *([cue] if cue else [])]
    return Evidence(
        observation=observation,
        state=state,
        phrase=place.span(mention.match),
        sentence=reading.sentence.span(place.tokens),
        cue=None if cue is None else place.span(cue),
        quality=None if quality is None else place.span(quality.match),
        rule=_named(place, statement) if quality is None else _linked(place, statement, quality),
        source="; ".join(_group(match.entry) for match in used),
        decisive=state is not None and state == labels[observation],
    )


def _named(place: _Place, statement: Statement) -> str:
    mention = statement.mention
    if mention.match.entry.kind == "denial":
        return f"{_cue(place, mention)}; {_WHOLE}" if mention.cue else _WHOLE
    if mention.cue is not None:
        return _cue(place, mention)
    if mention.match.entry.data.get("weak"):
        return "named, in words that are no more than a hint"
    return "named, nothing qualifies it"


def _linked(place: _Place, statement: Statement, quality: Mention) -> str:
    """``'heart' is 'normal'``."""
    structure = statement.mention.match
    if structure.start < quality.match.start:
        said = f"{place.quote(structure)} is {place.quote(quality.match)}"
    else:
        said = f"{place.quote(quality.match)} of {place.quote(structure)}"
    return said if quality.cue is None else f"{said}, {_cue(place, quality)}"


def _cue(place: _Place, mention: Mention) -> str:
    """``'no' before it denies``."""
    cue = mention.cue
    assert cue is not None
    if cue.entry.name in _ALTERNATIVES:
        return f"{place.quote(cue)}: either of two"
    if cue.entry.name == "aside":
        return f"{place.quote(cue)}: {_DOES['aside']}"
    does = "makes it likely: counts as stated" if likely(cue) else _DOES[cue.entry.name]
    return f"{place.quote(cue)} {'before' if cue.start < mention.match.start else 'after'} it {does}"


def _group(entry: Entry) -> str:
    return f"{entry.file} [[{entry.kind}]] {entry.name}"
