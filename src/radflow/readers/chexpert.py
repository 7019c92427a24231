"""CheXpert labels by rules: 14 observations, each 1, 0, -1 or ``None``.

Definitions follow Irvin et al. 2019 (arXiv:1901.07031); the phrases are in ``lexicon/chexpert.toml``, the
scope of negation and hedging in ``scope.py``. An observation is said in one of three ways: by name
("cardiomegaly"), by a quality of a structure ("the heart is enlarged", "heart size is normal"), or by a
statement about everything ("no acute cardiopulmonary abnormality", which denies the acute observations).

Doubt is weighed as CheXpert's own rules do (stanfordmlgroup/chexpert-labeler), because labels are compared
with theirs: "likely", "consistent with" and "representing" state; "probable", "possible", "suspicious for",
"A versus B" and "A or B" are uncertain. What differs on purpose: "no new X" denies X; hedges that those rules
do not know ("suggestive of", "concerning for", "unlikely") are uncertain; vascular congestion states Edema.
A calcified nodule is a granuloma and no Lung Lesion, unless one asks for it (:func:`chexpert_labeler`).
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
_CALCIFIED = frozenset({"calcified", "calcific"})
_CALCIFIED_WITHIN = 4  # words between a nodule and what calls it calcified
_NON = frozenset({"non", "not", "without", "no"})
_CALLED = frozenset({"is", "are", "densely", "appears", "appear", "which", "that", "and", ","})
_NOT_OF_THE_NODULE = frozenset({"and", "or", ",", ";", "with", "near", "without"})
_NOT_BEHIND_THE_NODULE = frozenset(
    {"may", "might", "could", "possibly", "but", ";", "not", "with", "most", "some"}
)
_RATIO_WITHIN = 8  # words between a ratio and its number
_ABOVE = frozenset({">", "≥", "over", "above", "exceed", "exceeding", "greater", "more"})
_BELOW = frozenset({"<", "≤", "under", "below", "less"})
_DENIED_WITHIN = 2  # words between "not" and "clear"


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


def chexpert_labeler(
    extra: Path | None = None, *, calcified: bool = False
) -> Callable[[Sequence[str]], list[Labels]]:
    """Make :func:`chexpert_rules` with phrases of your own added.

    Args:
        extra: a TOML file of ``[[finding]]``, ``[[structure]]``, ``[[ignore]]``, ... groups like those of
            ``lexicon/chexpert.toml``. A ``[[finding]]`` is named after its observation, or lists ``labels``.

        calcified: whether a calcified nodule is a Lung Lesion too.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not a lexicon; it names an observation that is none; or a phrase of it already has
            another meaning.
    """
    if extra is None and not calcified:
        return chexpert_rules
    scope_of(extra)  # so that a mistake in the file shows now
    return partial(_label_all, extra=extra, calcified=calcified)


def _label_all(texts: Sequence[str], *, extra: Path | None, calcified: bool) -> list[Labels]:
    return [label(text, extra, calcified=calcified) for text in texts]


def label(text: str, extra: Path | None = None, *, calcified: bool = False) -> Labels:
    """Label one report; see :func:`chexpert_labeler`."""
    readings = scope_of(extra).read(text)
    return strongest(chain.from_iterable(statements(reading, calcified=calcified) for reading in readings))


def strongest(said: Iterable[Statement]) -> Labels:
    """Labels of a report from everything it says."""
    labels: Labels = dict.fromkeys(CHEXPERT_OBSERVATIONS)
    for observation, state, _, _ in said:
        known = labels[observation]
        if known is None:
            labels[observation] = state
        elif state is not None and state != known:
            labels[observation] = stronger(known, state)
    if not any(labels[observation] for observation in CHEXPERT_OBSERVATIONS[:-2]):
        labels["No Finding"] = 1
    return labels


def statements(reading: Reading, *, calcified: bool = False) -> Iterator[Statement]:
    """Everything that one sentence says about the observations; see :func:`chexpert_labeler`."""
    plain = True
    for mention in reading.mentions:
        entry = mention.match.entry
        if entry.kind == "finding":
            state = _state(mention)
            if state == 1 and entry.data.get("weak"):
                state = -1
            if entry.data.get("calcifies") and not calcified and is_calcified(reading, mention):
                state = None
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
            if forward is not None and _is_of(forward, mention):
                yield from _said(words, mention, forward)
            else:
                waiting.append(mention)
            if "percent" in mention.match.entry.data:
                yield from _measured(words, mention)
        elif kind == "quality":
            start = mention.match.start
            follows = waiting and (words[start - 1] in _LINKS or waiting[-1].match.end == start)
            if follows:
                for structure in waiting:
                    yield from _said(words, structure, mention)
                waiting, forward = [], None
            else:
                forward = mention


def _is_of(quality: Mention, structure: Mention) -> bool:
    """Whether a quality in front of a structure may be said of it."""
    near = quality.match.entry.data.get("near")
    return not near or structure.match.start - quality.match.end <= 1


def _measured(words: Sequence[str], structure: Mention) -> Iterator[Statement]:
    """A cardiothoracic ratio with a number: ``CTR > 50 %``, ``CTR 0.58``."""
    limit = structure.match.entry.data["percent"]
    exceeds = None
    behind = words[structure.match.end : structure.match.end + _RATIO_WITHIN]
    for place, word in enumerate(behind):
        if word[0].isdigit() and word.isascii() and word.replace(".", "", 1).isdigit():
            value = float(word) * (1 if float(word) > 1 else 100)
            above, below = _ABOVE.intersection(behind[:place]), _BELOW.intersection(behind[:place])
            exceeds = value > limit or (value == limit and bool(above) and not below)
            if "not" in behind[:place] and above:
                exceeds = False
            break
    if exceeds is not None:
        for observation in structure.match.entry.data["denied"]:
            yield Statement(observation, int(exceeds), structure)


def _said(words: Sequence[str], structure: Mention, quality: Mention) -> Iterator[Statement]:
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
    elif name in data.get("denies", {}) and _is_denied(words, quality):
        for observation in data.get("denied", ()):
            yield Statement(observation, -1 if data.get("weak") else 1, structure, quality)


def _is_denied(words: Sequence[str], quality: Mention) -> bool:
    """``The lungs are not clear``, ``neither lung is clear``: the negation is about the quality itself."""
    cue = quality.cue
    if cue is None or not quality.match.entry.data.get("firm"):
        return False
    within = 2 * _DENIED_WITHIN if words[cue.start] == "neither" else _DENIED_WITHIN
    return 0 <= quality.match.start - cue.end <= within


def is_calcified(reading: Reading, nodule: Mention) -> bool:
    """Whether a sentence calls a nodule calcified, in front of it or behind it.

    >>> [label(text)["Lung Lesion"] for text in ("Calcified apical nodule.", "The nodule is calcified.")]
    [None, None]
    >>> label("Non-calcified nodule.")["Lung Lesion"]
    1
    """
    words, (start, end, _) = reading.sentence.words, nodule.match
    for place in range(start - 1, max(start - 2 - _CALCIFIED_WITHIN, -1), -1):
        if words[place] in _NOT_OF_THE_NODULE:
            break
        if words[place] in _CALCIFIED:
            return place == 0 or words[place - 1] not in _NON
    for place in range(end, min(end + 2 * _CALCIFIED_WITHIN, len(words))):
        if words[place] in _CALCIFIED:
            return words[place - 1] in _CALLED and words[place - 1] not in _NON
        if words[place] in _NOT_BEHIND_THE_NODULE:
            break
    return False
