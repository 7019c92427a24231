"""CheXpert labels by rules: 14 observations, each 1, 0, -1 or ``None``.

Definitions follow Irvin et al. 2019 (arXiv:1901.07031); the phrases are in ``lexicon/chexpert.toml``, the
scope of negation and hedging in ``scope.py``. An observation is said in one of three ways: by name
("cardiomegaly"), by a quality of a structure ("the heart is enlarged", "heart size is normal"), or by a
statement about everything ("no acute cardiopulmonary abnormality", which denies the acute observations).

Doubt is weighed as CheXpert's own rules do (stanfordmlgroup/chexpert-labeler), because labels are compared
with theirs: "likely", "consistent with" and "representing" state; "probable", "possible", "suspicious for",
"A versus B" and "A or B" are uncertain. What differs on purpose: "no new X" denies X; hedges that those rules
do not know ("suggestive of", "concerning for", "unlikely") are uncertain; vascular congestion states Edema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from radflow.errors import DataError, did_you_mean
from radflow.readers.labels import CHEXPERT_OBSERVATIONS, State, stronger
from radflow.readers.lexicon import Entry, additions, lexicon, word_list
from radflow.readers.scope import Assertion, Mention, Reading, Scope, likely

Labels = dict[str, State]

_STATE: dict[Assertion, State] = {"present": 1, "uncertain": -1, "absent": 0, "aside": None}
_LINKS = word_list("chexpert", "between a structure and its quality")


class Statement(NamedTuple):
    """One thing that a sentence says about an observation.

    Attributes:
        observation: one of the 14.
        state: 1 stated, -1 hedged, 0 denied, ``None`` set aside: of another time, or only asked for.
        mention: the finding, denial or structure that it was said with.
        quality: for a structure, what was said of it.
    """

    observation: str
    state: State
    mention: Mention
    quality: Mention | None = None


@cache
def scope_of(extra: Path | None = None) -> Scope:
    """Compile the lexicon, with a reader's own file on top (:func:`chexpert_labeler`). Once per process."""
    entries = lexicon("chexpert")
    if extra is None:
        return Scope(entries)
    known = [*lexicon("scope"), *entries]
    added = additions(extra, known)
    for entry in added:
        _check(entry, known, extra)
    return Scope([*entries, *added])


_OPEN = frozenset({"finding", "structure", "denial", "ignore"})  # kinds in which a group may have a new name


def _check(entry: Entry, known: Sequence[Entry], path: Path) -> None:
    """Refuse a user's group that the rules could not use."""
    where = f"in [[{entry.kind}]] {entry.name!r} of {path}"
    names = sorted({other.name for other in known if other.kind == entry.kind})
    if entry.kind not in _OPEN and entry.name not in names:
        raise DataError(f"Expected a name out of {', '.join(names)} {where}.")
    if entry.kind == "denial" and not {"denies", "needs"} <= entry.data.keys():
        raise DataError(f"Expected 'denies' and 'needs' {where}, got {sorted(entry.data)}.")
    named = [*_listed(entry.data.get("denies")), *_listed(entry.data.get("asserts"))]
    if entry.kind == "finding":
        named += entry.data.get("labels", [entry.name])
    for name in named:
        if name not in CHEXPERT_OBSERVATIONS[:-1]:
            hint = did_you_mean(name, CHEXPERT_OBSERVATIONS)
            raise DataError(f"Expected CheXpert observations {where}, got {name!r}.{hint}")


def _listed(observations: Mapping[str, Sequence[str]] | Sequence[str] | None) -> Iterable[str]:
    """Observations of ``denies = ["Edema"]`` or of ``denies = { normal = ["Edema"] }``."""
    if isinstance(observations, Mapping):
        return chain.from_iterable(observations.values())
    return observations or ()


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


def chexpert_labeler(extra: Path | None = None) -> Callable[[Sequence[str]], list[Labels]]:
    """Make :func:`chexpert_rules` with phrases of your own added.

    Args:
        extra: a TOML file of ``[[finding]]``, ``[[structure]]``, ``[[ignore]]``, ... groups like those of
            ``lexicon/chexpert.toml``. A ``[[finding]]`` is named after its observation, or lists ``labels``.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not a lexicon; it names an observation that is none; or a phrase of it already has
            another meaning.
    """
    if extra is None:
        return chexpert_rules
    scope_of(extra)  # so that a mistake in the file shows now
    return partial(_label_all, extra=extra)


def _label_all(texts: Sequence[str], *, extra: Path) -> list[Labels]:
    return [label(text, extra) for text in texts]


def label(text: str, extra: Path | None = None) -> Labels:
    """Label one report; see :func:`chexpert_rules`."""
    return strongest(chain.from_iterable(map(statements, scope_of(extra).read(text))))


def strongest(said: Iterable[Statement]) -> Labels:
    """Labels of a report from everything it says."""
    labels: Labels = dict.fromkeys(CHEXPERT_OBSERVATIONS)
    for observation, state, _, _ in said:
        labels[observation] = stronger(labels[observation], state)
    findings = CHEXPERT_OBSERVATIONS[:-2]
    if all(labels[observation] in (0, None) for observation in findings):
        labels["No Finding"] = 1
    return labels


def statements(reading: Reading) -> Iterator[Statement]:
    """Everything that one sentence says about the observations."""
    plain = True
    for mention in reading.mentions:
        entry = mention.match.entry
        if entry.kind == "finding":
            state = _state(mention)
            if state == 1 and entry.data.get("weak"):
                state = -1
            for observation in entry.data.get("labels", (entry.name,)):
                yield Statement(observation, state, mention)
        elif entry.kind == "denial":
            if mention.assertion == entry.data["needs"]:
                for observation in entry.data["denies"]:
                    yield Statement(observation, 0, mention)
        else:
            plain = False
    if not plain:
        yield from linked(reading.sentence.words, reading.mentions)


def _state(mention: Mention) -> State:
    """CheXpert's own rules count "likely" as stated, and "probable" and "possible" as uncertain."""
    state = _STATE[mention.assertion]
    return 1 if state == -1 and likely(mention.cue) else state


def linked(words: Sequence[str], mentions: Sequence[Mention]) -> Iterator[Statement]:
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


def _said(structure: Mention, quality: Mention) -> Iterator[Statement]:
    name, assertion = quality.match.entry.name, quality.assertion
    data = structure.match.entry.data
    if name in data.get("asserts", {}):
        state = _state(quality)
        if state == 1 and (name == "borderline" or data.get("weak")):
            state = -1
        for observation in data["asserts"][name]:
            yield Statement(observation, state, structure, quality)
    elif assertion in ("present", "uncertain"):
        for observation in data.get("denies", {}).get(name, ()):
            yield Statement(observation, 0, structure, quality)
