"""What a system's reports are like beside their references, so that drift, collapse and reward hacking show.

A metric or a reward can be raised by writing longer, by writing the same safe report for every study, or by
saying things twice; a metric that counts words hardly notices a flipped negation. None of that shows in a
mean; all of it shows here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from radflow.metrics.pairs import Reader
from radflow.readers import SUMMARIES

SIGNALS = (
    "words_generated",
    "words_reference",
    "positives_generated",
    "positives_reference",
    "stated_by_both",
    "flips",
    "repeats_generated",
    "repeats_reference",
    "copies",
    "empty",
    "null_words",
)
"""What is counted in each pair; see :func:`read_signals`."""

NULL_WORDS = frozenset({"nan", "none", "null", "n/a", "<na>"})
"""What tables write for an empty cell, once it comes back as text."""

_SENTENCE = re.compile(r"[^.!?\n]+")
_LENGTH_RATIO = 1.3
_FLIPS, _REPEATS, _COPIES = 0.1, 0.05, 0.5


class Texts(NamedTuple):
    """How similar some reports are: all of them, distinct ones, and the count of the most frequent."""

    total: int
    distinct: int
    most_frequent: int

    @classmethod
    def of(cls, reports: Iterable[str]) -> Texts:
        """Count reports; those that differ in white space alone are one.

        >>> Texts.of(["No edema.", "No  edema.", "Clear."])
        Texts(total=3, distinct=2, most_frequent=2)
        """
        counts = Counter(" ".join(report.split()) for report in reports)
        return cls(counts.total(), len(counts), max(counts.values(), default=0))


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A system's reports beside their references.

    Attributes:
        words, reference_words: mean length of a report.
        length_ratio: the first over the second.
        positives, reference_positives: mean number of observations asserted, uncertain ones included.
        distinct, reference_distinct: share of different texts among all reports, in (0, 1].
        most_frequent, reference_most_frequent: share of the most frequent report, in (0, 1].
        flips: of the observations that both reports of a pair assert or deny, the share where one asserts
            what the other denies, in [0, 1]; 0 where there are none.
        stated_by_both: how many such observations there are.
        repeats, reference_repeats: share of reports that say a sentence twice.
        copies: share of reports that are their reference, word for word.
        empty: number of empty reports.
        duplicates: number of reports whose text an earlier report has.
        null_words: number of reports that are just a word like ``nan``.
    """

    words: float
    reference_words: float
    length_ratio: float
    positives: float
    reference_positives: float
    distinct: float
    reference_distinct: float
    most_frequent: float
    reference_most_frequent: float
    flips: float
    stated_by_both: int
    repeats: float
    reference_repeats: float
    copies: float
    empty: int
    duplicates: int
    null_words: int


def read_signals(
    generated: Sequence[str],
    reference: Sequence[str],
    labeler: Reader,
) -> dict[str, Float[np.ndarray, " N"]]:
    """Count :data:`SIGNALS` in each pair, each a function of the pair alone.

    Observations that sum up a whole report are not counted.

    Args:
        generated: generated reports.
        reference: their references.
        labeler: texts to observations with states.

    >>> from radflow.readers import load
    >>> read_signals(["No edema."], ["Edema."], load("chexpert-rules"))["flips"].tolist()
    [1.0]
    """
    ours, theirs = labeler(generated), labeler(reference)
    rows = [
        (
            len(a.split()),
            len(b.split()),
            _asserted(x),
            _asserted(y),
            *_agreement(x, y),
            repeated_sentences(a),
            repeated_sentences(b),
            bool(a.strip()) and a.split() == b.split(),
            not a.strip(),
            a.strip().lower() in NULL_WORDS,
        )
        for a, b, x, y in zip(generated, reference, ours, theirs, strict=True)
    ]
    table = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(SIGNALS))
    return dict(zip(SIGNALS, table.T, strict=True))


def repeated_sentences(text: str) -> int:
    """How many sentences repeat an earlier one of the same report; single words do not count.

    >>> repeated_sentences("No edema. The heart is normal. No  edema.")
    1
    """
    sentences = [words for part in _SENTENCE.findall(text.lower()) if len(words := tuple(part.split())) > 1]
    return len(sentences) - len(set(sentences))


def measure_drift(signals: Mapping[str, np.ndarray], generated: Texts, reference: Texts) -> Drift:
    """Put the :data:`SIGNALS` of all pairs together."""
    mean = {name: float(signals[name].mean()) for name in SIGNALS}
    stated = int(signals["stated_by_both"].sum())
    return Drift(
        words=mean["words_generated"],
        reference_words=mean["words_reference"],
        length_ratio=mean["words_generated"] / max(mean["words_reference"], 1e-9),
        positives=mean["positives_generated"],
        reference_positives=mean["positives_reference"],
        distinct=generated.distinct / generated.total,
        reference_distinct=reference.distinct / reference.total,
        most_frequent=generated.most_frequent / generated.total,
        reference_most_frequent=reference.most_frequent / reference.total,
        flips=float(signals["flips"].sum()) / max(stated, 1),
        stated_by_both=stated,
        repeats=float((signals["repeats_generated"] > 0).mean()),
        reference_repeats=float((signals["repeats_reference"] > 0).mean()),
        copies=mean["copies"],
        empty=int(signals["empty"].sum()),
        duplicates=generated.total - generated.distinct,
        null_words=int(signals["null_words"].sum()),
    )


def drift_warnings(found: Drift) -> list[str]:
    """Warnings for a reader of the table, one sentence each."""
    said = []
    if found.empty:
        said.append(f"{found.empty:,} predictions are empty; they are scored as empty reports.")
    if found.null_words:
        said.append(
            f"{found.null_words:,} predictions are just a word such as 'nan' or 'None', which is how tables "
            "write nothing; they are scored as that word."
        )
    if found.copies > _COPIES:
        said.append(
            f"{found.copies:.0%} of the predictions are their reference, word for word: is this the right "
            "column?"
        )
    if not 1 / _LENGTH_RATIO <= found.length_ratio <= _LENGTH_RATIO:
        what = "longer" if found.length_ratio > 1 else "shorter"
        said.append(
            f"The reports are {what} than their references: {found.words:.0f} words against "
            f"{found.reference_words:.0f} ({found.length_ratio:.2f} times)."
        )
    if found.distinct < found.reference_distinct / 2:
        said.append(
            f"Only {found.distinct:.0%} of the reports are distinct, against {found.reference_distinct:.0%} "
            "of the references: the system says the same about different studies."
        )
    if found.most_frequent > max(0.1, 2 * found.reference_most_frequent):
        said.append(
            f"One report is written for {found.most_frequent:.0%} of the studies; among the references the "
            f"most frequent one has {found.reference_most_frequent:.0%}."
        )
    if found.flips > _FLIPS:
        said.append(
            f"Where both reports of a pair speak of an observation, {found.flips:.0%} of the time one "
            "asserts what the other denies. Metrics that count words reward such reports all the same."
        )
    if found.repeats > max(_REPEATS, 2 * found.reference_repeats):
        said.append(
            f"{found.repeats:.0%} of the reports say a sentence twice, against "
            f"{found.reference_repeats:.0%} of the references."
        )
    return said


def _asserted(labels: Mapping[str, int | None]) -> int:
    return sum(state in (1, -1) for name, state in labels.items() if name not in SUMMARIES)


def _agreement(ours: Mapping[str, int | None], theirs: Mapping[str, int | None]) -> tuple[int, int]:
    """How many observations both assert or deny, and on how many of those they contradict each other."""
    both = [
        (state, theirs.get(name))
        for name, state in ours.items()
        if name not in SUMMARIES and state in (0, 1) and theirs.get(name) in (0, 1)
    ]
    return len(both), sum(a != b for a, b in both)
