"""GREEN (Ostmeier et al. 2024, arXiv:2405.03595): a language model lists matched findings and errors.

The question, the reading of the answer and the arithmetic are those of ``green_score`` (Stanford-AIMI/GREEN,
``d72c195``): matched / (matched + clinically significant errors), and 0 where nothing matches. Ours differs
in one thing: an answer without the headings of both counts has no score there (it counts as 0) and is asked
again here.

Its holes: only the first 300 words of each report are shown; two normal reports score 0 or 1 as the model
counts "no effusion" as a finding or not; six kinds of errors weigh the same; the list of matches is counted
by its first number, even where the list is shorter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from radflow.metrics.asked.asking import PairReader, ask_pairs

_LONGEST = 300  # words of a report that are shown
_SIGNIFICANT, _MATCHED = "Clinically Significant Errors", "Matched Findings"
_FORMAT = "[Explanation]:\n    <Explanation>\n"  # of the question, repeated in the answer
_LETTERS, _DIGITS = "abcdef", "123456"

# The wording that the published models were trained on; printed in the paper, to the letter in its code.
_QUESTION = """\
Objective: Evaluate the accuracy of a candidate radiology report in comparison to a reference radiology \
report composed by expert radiologists.

    Process Overview: You will be presented with:

    1. The criteria for making a judgment.
    2. The reference radiology report.
    3. The candidate radiology report.
    4. The desired format for your assessment.

    1. Criteria for Judgment:

    For each candidate report, determine:

    The count of clinically significant errors.
    The count of clinically insignificant errors.

    Errors can fall into one of these categories:

    a) False report of a finding in the candidate.
    b) Missing a finding present in the reference.
    c) Misidentification of a finding's anatomic location/position.
    d) Misassessment of the severity of a finding.
    e) Mentioning a comparison that isn't in the reference.
    f) Omitting a comparison detailing a change from a prior study.
    Note: Concentrate on the clinical findings rather than the report's writing style. Evaluate only the \
findings that appear in both reports.

    2. Reference Report:
    {reference}

    3. Candidate Report:
    {generated}

    4. Reporting Your Assessment:

    Follow this specific format for your output, even if no errors are found:
    ```
    [Explanation]:
    <Explanation>

    [Clinically Significant Errors]:
    (a) <Error Type>: <The number of errors>. <Error 1>; <Error 2>; ...; <Error n>
    ....
    (f) <Error Type>: <The number of errors>. <Error 1>; <Error 2>; ...; <Error n>

    [Clinically Insignificant Errors]:
    (a) <Error Type>: <The number of errors>. <Error 1>; <Error 2>; ...; <Error n>
    ....
    (f) <Error Type>: <The number of errors>. <Error 1>; <Error 2>; ...; <Error n>

    [Matched Findings]:
    <The number of matched findings>. <Finding 1>; <Finding 2>; ...; <Finding n>
    ```
"""


@dataclass(frozen=True, kw_only=True)
class GreenCounts:
    """What an answer counts: findings that match, and clinically significant errors (a) to (f)."""

    matched: int
    errors: tuple[int, ...]

    @property
    def score(self) -> float:
        """In [0, 1].

        >>> GreenCounts(matched=3, errors=(1, 0, 0, 0, 0, 0)).score
        0.75
        """
        return self.matched / (self.matched + sum(self.errors)) if self.matched else 0.0


def green(
    generated: Sequence[str], reference: Sequence[str], reader: PairReader | None = None
) -> Float[np.ndarray, " N"]:
    """GREEN of each pair, in [0, 1]; higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: asks a language model :func:`green_question` and reads its answers by :func:`green_score`.

    Raises:
        DataError: the lists differ in length.
        MissingFileError: no reader was given.
    """
    return ask_pairs("green", "green:<folder>", generated, reference, reader)


def green_question(reference: str, generated: str) -> str:
    """What the model is asked, white space in the reports folded."""
    reference, generated = (" ".join(text.split()[:_LONGEST]) for text in (reference, generated))
    return _QUESTION.format(reference=reference, generated=generated)


def green_score(answer: str) -> float | None:
    """The score of an answer; ``None`` where it lacks the headings of both counts."""
    counts = green_counts(answer)
    return None if counts is None else counts.score


def green_counts(answer: str) -> GreenCounts | None:
    """Read an answer as the published code does.

    >>> green_counts(
    ...     "[Clinically Significant Errors]:\\n(a) False report: 1. Effusion\\n(b) Missing: 2. Edema; Nodule"
    ...     "\\n\\n[Matched Findings]:\\n3. Heart size; Clear apices; No pneumothorax"
    ... )
    GreenCounts(matched=3, errors=(1, 2, 0, 0, 0, 0))
    """
    parts = answer.split("[Explanation]:")
    answer = parts[1] if _FORMAT in answer else parts[-1]
    errors, matched = _section(answer, _SIGNIFICANT), _section(answer, _MATCHED)
    if errors is None or matched is None:
        return None
    number = re.match(r"\b\d+\b(?=\.)", matched)
    return GreenCounts(matched=int(number[0]) if number else 0, errors=_errors(errors))


def _section(answer: str, heading: str) -> str | None:
    """What stands below a heading, up to an empty line."""
    found = re.search(rf"\[{heading}\]:\s*(.*?)(?:\n\s*\n|\Z)", answer, re.DOTALL)
    return found[1] if found else None


def _errors(section: str) -> tuple[int, ...]:
    """The number of each kind; of a kind that stands twice the last in the order of the alphabet."""
    counts = [0] * len(_LETTERS)
    if section.startswith("No"):
        return tuple(counts)
    for marks in (_LETTERS, _DIGITS):
        lines = sorted(re.findall(rf"\([{marks[0]}-{marks[-1]}]\) .*", section))
        for line in lines:
            if number := re.search(r"(?<=: )\b\d+\b(?=\.)", line):
                counts[marks.index(line[1])] = int(number[0])
        if lines:
            break
    return tuple(counts)
