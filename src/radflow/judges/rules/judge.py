"""The rule judge: explains itself, needs no network, answers thousands of reports per second.

It reads both sections with radflow's readers and looks for what cannot follow, sentence by sentence, by the
rules that the modality's record names: see :mod:`radflow.judges.rules.chest` and
:mod:`radflow.judges.rules.carotid`. A text that comes without a study is of the modality that its words tell.
It is a judge by rules, and says so by its name: it knows the observations of its readers and no others, so an
Impression about something else passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from radflow import readers
from radflow.judges.base import Pair, Verdict
from radflow.judges.rules.reasons import Reason
from radflow.modality import MODALITIES, attribute, modality_of
from radflow.reports import Report

_BLANK = re.compile(r"[\s.,;:–-]*")

Rules = Callable[[str, str], Iterator[Reason]]
"""Findings and Impression to a reason per fault."""


class RulesJudge:
    """Judges pairs of (findings, impression) by rules.

    Args:
        modality: of the studies whose reports are judged; ``None`` goes by the words of each report.
        rules: modality to what its record's ``rules`` would make, in place of that.
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
        modality: str | None = None,
        rules: Mapping[str, Rules] | None = None,
        cache_size: int = 65536,
    ) -> None:
        self._modality = None if modality is None else modality_of(modality).name
        self._rules = dict(rules or {})
        self._cache_size = cache_size
        self._verdict = lru_cache(maxsize=cache_size)(self._judge)

    def __call__(self, pairs: Sequence[Pair]) -> list[bool]:
        """Return whether each Impression follows from its Findings."""
        return [self.explain(findings, impression).consistent for findings, impression in pairs]

    def explain(self, findings: str, impression: str) -> Verdict:
        """Return the verdict on one pair with its reasons.

        A reason reads ``About: what (in "sentence")``, with the sentence of the Impression that it is about,
        or ``About: what (Impression as a whole)`` where that does not say something it should
        (:class:`~radflow.judges.rules.reasons.Reason`).
        """
        return self._verdict(findings, impression)

    def for_modality(self, modality: str) -> RulesJudge:
        """Return a judge of studies that are known to be of one modality.

        Raises:
            DataError: there is no such modality.
        """
        return RulesJudge(modality=modality, rules=self._rules, cache_size=self._cache_size)

    def criticality(self, reports: Sequence[Report]) -> list[bool]:
        """Return whether each report describes an abnormal or clinically significant finding.

        The modality's reader of criticality answers; ``criticality-rules`` where no modality is known.

        >>> text = "Small left pleural effusion."
        >>> RulesJudge().criticality([Report(text=text, findings=None, impression=None)])
        [True]
        """
        known = "criticality-rules" if self._modality is None else MODALITIES[self._modality].criticality
        return readers.load(known)(reports)

    def _judge(self, findings: str, impression: str) -> Verdict:
        reasons = tuple(dict.fromkeys(map(str, self._faults(findings, impression))))
        return Verdict(consistent=not reasons, reasons=reasons)

    def _faults(self, findings: str, impression: str) -> Iterator[Reason]:
        for name, section in (("Findings", findings), ("Impression", impression)):
            if _BLANK.fullmatch(section):
                return iter([Reason(about="", what=f"no {name}", sentence=None)])
        modality = self._modality or told_by_words(f"{findings} {impression}")
        if modality not in self._rules:
            self._rules[modality] = attribute(MODALITIES[modality].rules)()
        return self._rules[modality](findings, impression)


def told_by_words(text: str) -> str:
    """The modality of a report that comes without a study; the first one where no word tells.

    >>> told_by_words("Plaque in the right ICA."), told_by_words("Carotid calcification. Clear lungs.")
    ('carotid-us', 'chest-xray')
    """
    for name, modality in MODALITIES.items():
        if modality.words is not None and re.search(modality.words, text, re.IGNORECASE):
            return name
    return next(iter(MODALITIES))
