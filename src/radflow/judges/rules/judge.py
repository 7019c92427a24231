"""The rule judge: explains itself, needs no network, answers thousands of reports per second.

It reads both sections with radflow's readers and looks for what cannot follow, sentence by sentence: see
:mod:`radflow.judges.rules.chest` and :mod:`radflow.judges.rules.carotid`. Which of the two reads a report
is decided by its words. It is a judge by rules, and says so by its name: it knows the observations of its
readers and no others, so an Impression about something else passes.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

from radflow import readers
from radflow.judges.base import Pair, Verdict
from radflow.judges.rules.carotid import carotid_faults
from radflow.judges.rules.chest import chest_faults
from radflow.judges.rules.chest_statements import Labels, read_statement
from radflow.judges.rules.reasons import Reason
from radflow.reports import Report

_CAROTID = re.compile(r"\b(?:carotids?|plaques?|intima|IMT|PSV|stenosis|ICA|CCA)\b", re.IGNORECASE)
# A chest report may mention carotid calcifications; a carotid report has no lungs.
_CHEST = re.compile(
    r"\b(?:lungs?|heart|cardi\w+|pulmonary|pleural?|pneumo\w+|chest|thora\w+)\b", re.IGNORECASE
)
_BLANK = re.compile(r"[\s.,;:–-]*")

# Report sentences repeat: a few thousand distinct ones cover most of a data set.
_SENTENCES_KEPT = 16384


class RulesJudge:
    """Judges pairs of (findings, impression) by rules.

    Args:
        labeler: texts to CheXpert labels; ``None`` loads ``chexpert-rules``.
        terms: texts to carotid key terms; ``None`` loads ``carotid-terms``.
        graphs: texts to RadGraph graphs, to tell a chest Impression that says nothing; ``None`` loads
            ``radgraph-rules``.
        cache_size: how many verdicts are remembered; the least recently used goes first.

    >>> judge = RulesJudge()
    >>> judge([("Small left pleural effusion.", "Left pleural effusion."), ("Clear lungs.", "Pneumothorax.")])
    [True, False]
    >>> judge.explain("No pleural effusion.", "Left pleural effusion.").reasons
    ('Pleural Effusion: asserted in the Impression, denied in the Findings (in "Left pleural effusion.")',)
    >>> judge.explain("Right pneumothorax. Cardiomegaly.", "Cardiomegaly.").reasons
    ('Pneumothorax: asserted in the Findings, left out of the Impression (Impression as a whole)',)
    """

    name = "rules"

    def __init__(
        self,
        *,
        labeler: Callable[[Sequence[str]], Sequence[Labels]] | None = None,
        terms: Callable[[Sequence[str]], Sequence[Set[str]]] | None = None,
        graphs: Callable[[Sequence[str]], Sequence[Mapping[str, Any]]] | None = None,
        cache_size: int = 65536,
    ) -> None:
        read_labels = readers.load("chexpert-rules") if labeler is None else labeler
        self._terms = readers.load("carotid-terms") if terms is None else terms
        self._graphs = readers.load("radgraph-rules") if graphs is None else graphs
        self._read = lru_cache(maxsize=_SENTENCES_KEPT)(
            lambda sentence: read_statement(sentence, lambda text: read_labels([text])[0])
        )
        self._cache_size = cache_size
        self._verdicts: OrderedDict[Pair, Verdict] = OrderedDict()

    def __call__(self, pairs: Sequence[Pair]) -> list[bool]:
        """Return whether each Impression follows from its Findings."""
        return [self.explain(findings, impression).consistent for findings, impression in pairs]

    def explain(self, findings: str, impression: str) -> Verdict:
        """Return the verdict on one pair with its reasons.

        A reason reads ``About: what (in "sentence")``, with the sentence of the Impression that it is about,
        or ``About: what (Impression as a whole)`` where that does not say something it should
        (:class:`~radflow.judges.rules.reasons.Reason`).
        """
        pair = (findings, impression)
        verdict = self._verdicts.get(pair)
        if verdict is None:
            reasons = tuple(dict.fromkeys(map(str, self._faults(findings, impression))))
            verdict = self._verdicts[pair] = Verdict(consistent=not reasons, reasons=reasons)
            if len(self._verdicts) > self._cache_size:
                self._verdicts.popitem(last=False)
        self._verdicts.move_to_end(pair)
        return verdict

    def criticality(self, reports: Sequence[Report]) -> list[bool]:
        """Return whether each report describes an abnormal or clinically significant finding.

        The ``criticality-rules`` reader answers; it is loaded on the first call.

        >>> text = "Small left pleural effusion."
        >>> RulesJudge().criticality([Report(text=text, findings=None, impression=None)])
        [True]
        """
        return readers.load("criticality-rules")(reports)

    def _faults(self, findings: str, impression: str) -> Iterator[Reason]:
        for name, section in (("Findings", findings), ("Impression", impression)):
            if _BLANK.fullmatch(section):
                return iter([Reason(about="", what=f"no {name}", sentence=None)])
        both = f"{findings} {impression}"
        if _CAROTID.search(both) and not _CHEST.search(both):
            premise, conclusion = self._terms([findings, impression])
            return carotid_faults(findings, impression, premise, conclusion)
        return chest_faults(findings, impression, self._read, self._says_something)

    def _says_something(self, text: str) -> bool:
        return bool(self._graphs([text])[0]["entities"])
