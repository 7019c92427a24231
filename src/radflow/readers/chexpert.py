"""CheXpert labels by rules: 14 observations, each 1, 0, -1 or ``None``.

Definitions follow Irvin et al. 2019 (arXiv:1901.07031); the phrases are in ``lexicon/chexpert.toml``, the
scope of negation and hedging in ``scope.py``. An observation is said in one of three ways: by name
("cardiomegaly"), by a quality of a structure ("the heart is enlarged", "heart size is normal"), or by a
statement about everything ("no acute cardiopulmonary abnormality", which denies the acute observations).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from radflow.readers.labels import CHEXPERT_OBSERVATIONS, State, stronger
from radflow.readers.lexicon import lexicon, word_list
from radflow.readers.scope import Assertion, Mention, Scope

Labels = dict[str, State]

_STATE: dict[Assertion, State] = {"present": 1, "uncertain": -1, "absent": 0, "aside": None}
_LINKS = word_list("chexpert", "between a structure and its quality")


@cache
def _scope() -> Scope:
    return Scope(lexicon("chexpert"))


def chexpert_rules(texts: Sequence[str]) -> list[Labels]:
    """Label reports. Each report is read on its own, so results do not depend on the batch.

    Args:
        texts: whole reports or sections.

    Returns:
        for each text the 14 observations in CheXpert's order with states 1 positive, -1 uncertain, 0 negated,
        ``None`` not mentioned. Positive beats uncertain beats negated. No Finding is 1 when no other
        observation, Support Devices aside, is positive or uncertain, otherwise ``None``.

    >>> labels = chexpert_rules(["No rib fracture. Heart size is normal. Possible pneumonia."])[0]
    >>> {name: state for name, state in labels.items() if state is not None}
    {'Cardiomegaly': 0, 'Pneumonia': -1, 'Fracture': 0}
    """
    return [label(text) for text in texts]


def label(text: str) -> Labels:
    """Label one report; see :func:`chexpert_rules`."""
    labels: Labels = dict.fromkeys(CHEXPERT_OBSERVATIONS)
    for reading in _scope().read(text):
        for observation, state in _statements(reading.sentence.words, reading.mentions):
            labels[observation] = stronger(labels[observation], state)
    findings = CHEXPERT_OBSERVATIONS[:-2]
    if all(labels[observation] in (0, None) for observation in findings):
        labels["No Finding"] = 1
    return labels


def _statements(words: Sequence[str], mentions: Sequence[Mention]) -> Iterable[tuple[str, State]]:
    """Every (observation, state) that one sentence says."""
    plain = True
    for mention in mentions:
        entry = mention.match.entry
        if entry.kind == "finding":
            state = _STATE[mention.assertion]
            if state == 1 and entry.data.get("weak"):
                state = -1
            for observation in entry.data.get("labels", (entry.name,)):
                yield observation, state
        elif entry.kind == "denial":
            if mention.assertion == entry.data["needs"]:
                for observation in entry.data["denies"]:
                    yield observation, 0
        else:
            plain = False
    if not plain:
        yield from predicates(words, mentions)


def predicates(words: Sequence[str], mentions: Sequence[Mention]) -> Iterable[tuple[str, State]]:
    """Link each quality to the structures it is said of, before it ("heart is normal") or behind it."""
    waiting: list[Mention] = []  # structures no quality has claimed yet
    forward: Mention | None = None  # a quality in front of its structure
    clause = -1
    for mention in mentions:
        if mention.clause != clause:
            waiting, forward, clause = [], None, mention.clause
        kind = mention.match.entry.kind
        if kind == "structure":
            if forward is not None:
                yield from _said(mention, forward)
            else:
                waiting.append(mention)
        elif kind == "quality":
            start = mention.match.start
            follows = waiting and (words[start - 1] in _LINKS or waiting[-1].match.end == start)
            if follows:
                for structure in waiting:
                    yield from _said(structure, mention)
                waiting, forward = [], None
            else:
                forward = mention


def _said(structure: Mention, quality: Mention) -> Iterable[tuple[str, State]]:
    name, assertion = quality.match.entry.name, quality.assertion
    data = structure.match.entry.data
    if name in ("enlarged", "borderline"):
        state = _STATE[assertion]
        if state == 1 and (name == "borderline" or data.get("weak")):
            state = -1
        for observation in data.get("asserts", {}).get(name, ()):
            yield observation, state
    elif assertion in ("present", "uncertain"):
        for observation in data.get("denies", {}).get(name, ()):
            yield observation, 0
