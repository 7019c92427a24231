"""The baselines beside every scored system: what can be written without looking at any image."""

from __future__ import annotations

from collections.abc import Sequence

from radflow.baselines import NearestContext, random_other
from radflow.evaluation.files.store import Pair, ReportStore
from radflow.evaluation.scoring import Baseline

_CANDIDATES = 4096  # indications to choose from: bounds the memory and the time of a look-up


def baselines_of(store: ReportStore) -> dict[str, tuple[str, Baseline]]:
    """Name to what it is in words and what writes its reports; none where there is but one report.

    A template, and the report of another study: the one with the most similar indication where indications
    are known, any one otherwise.
    """
    if store.pool_size() < 2:
        return {}
    text, count = store.most_frequent()
    size = store.pool_size()
    origin = (
        "training report"
        if store.has_train
        else "of the references themselves, as no training file was given"
    )
    template = f"the most frequent {origin} ({count:,} of {size:,}), written for every study"
    whose = "of the training reports" if store.has_train else "another study's reference"
    found: dict[str, tuple[str, Baseline]] = {"template": (template, lambda pairs: [text] * len(pairs))}
    if NearestIndication.applies(store):
        nearest = NearestIndication(store)
        among = "" if nearest.candidates == size else f" among {nearest.candidates:,} of them"
        found["nearest indication"] = (f"{whose}, the one with the most similar indication{among}", nearest)
    else:
        found["random report"] = (f"{whose}, drawn at random", RandomReport(store))
    return found


class RandomReport:
    """Writes the report of any other study, and of another patient where patients are known."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store
        self._size = store.pool_size()

    def __call__(self, pairs: Sequence[Pair]) -> list[str]:
        """One report per pair; ``""`` where the pool holds none but the patient's own."""
        return [self._write(pair) for pair in pairs]

    def _write(self, pair: Pair) -> str:
        place = random_other(pair.study_id, self._size, lambda place: self._is_own(pair, place))
        return "" if place is None else self._store.pool(place).text

    def _is_own(self, pair: Pair, place: int) -> bool:
        said = self._store.pool(place)
        same_patient = said.patient_id is not None and said.patient_id == pair.patient_id
        return same_patient or said.study_id == pair.study_id


class NearestIndication:
    """Writes the report of the study with the most similar indication, of another study and patient."""

    def __init__(self, store: ReportStore) -> None:
        size = store.pool_size()
        self.candidates = min(size, _CANDIDATES)
        places = [number * size // self.candidates for number in range(self.candidates)]
        said = [store.pool(place) for place in places]
        self._texts = [one.text for one in said]
        self._nearest = NearestContext([one.context for one in said])
        self._random = RandomReport(store)
        self._of_study: dict[str, set[int]] = {}
        self._of_patient: dict[str, set[int]] = {}
        for place, one in enumerate(said):
            self._of_study.setdefault(one.study_id, set()).add(place)
            if one.patient_id is not None:
                self._of_patient.setdefault(one.patient_id, set()).add(place)

    @staticmethod
    def applies(store: ReportStore) -> bool:
        """Whether most of the first thousand pairs, and of the reports to choose from, have an indication."""
        pairs = store[0:1000]
        pool = [store.pool(place) for place in range(min(store.pool_size(), 1000))]
        return all(2 * sum(bool(one.context.strip()) for one in rows) > len(rows) for rows in (pairs, pool))

    def __call__(self, pairs: Sequence[Pair]) -> list[str]:
        """One report per pair; a random one where no word of its indication is known."""
        own = [
            self._of_study.get(pair.study_id, set()) | self._of_patient.get(pair.patient_id or "", set())
            for pair in pairs
        ]
        places = self._nearest.find([pair.context for pair in pairs], own)
        rest = iter(self._random([pair for pair, place in zip(pairs, places, strict=True) if place is None]))
        return [next(rest) if place is None else self._texts[place] for place in places]
