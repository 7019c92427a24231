"""Splitting by patient: all studies of one patient are in one split, whoever asks and in whatever order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from radflow.errors import DataError
from radflow.studies.study import SPLITS, Split
from radflow.workspace import derive_seed

FRACTIONS = (0.7, 0.15, 0.15)  # train, validate, test: the paper's split of CarotidUS-MRG
_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validate", "validation", "valid", "val", "dev"), "validate"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_DEAL: tuple[Split, ...] = ("train",) * 14 + ("validate",) * 3 + ("test",) * 3  # the same shares of 20


def assign_split(patient_id: str, seed: int, fractions: tuple[float, float, float] = FRACTIONS) -> Split:
    """Place a patient by hash, so that adding or removing patients never moves another one.

    Args:
        patient_id: any string.
        seed: another seed gives another split.
        fractions: the expected shares of train, validate and test; they add up to 1.

    Raises:
        DataError: the fractions are negative or do not add up to 1.

    >>> assign_split("p1", 0) == assign_split("p1", 0)
    True
    >>> assign_split("p1", 0, (0.0, 0.0, 1.0))
    'test'
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise DataError(f"split fractions: expected three shares >= 0 that add up to 1, got {fractions}")
    digest = hashlib.sha256(f"{seed}\0{patient_id}".encode("utf-8", "surrogatepass")).digest()
    point = int.from_bytes(digest[:7], "big") / 2**56  # 56 bits: exact in a float, and always below 1
    bound = 0.0
    for split, fraction in zip(SPLITS, fractions, strict=True):
        bound += fraction
        if point < bound:
            return split
    # Rounding left the bounds a hair below 1: the last split that has a share.
    return [split for split, fraction in zip(SPLITS, fractions, strict=True) if fraction > 0][-1]


def split_named(word: str) -> Split | None:
    """The split that a data set calls by this name; ``None`` where it is none of the usual ones.

    >>> split_named("val"), split_named("Valid"), split_named("TEST"), split_named("fold 3")
    ('validate', 'validate', 'test', None)
    """
    return _NAMES.get(word.strip().lower())


def deal_splits(patients: Iterable[str], seed: int) -> dict[str, Split]:
    """Place patients that come in a fixed order: 14 train, 3 validate and 3 test of every 20.

    By `assign_split` a set of 100 patients may have 8 to validate on or 22. Dealing keeps the shares of small
    sets too, and patients added at the end move nobody; but the order must stay, so it suits drawn patients
    and not a folder of real ones.

    >>> from collections import Counter
    >>> Counter(deal_splits(map(str, range(40)), seed=0).values())
    Counter({'train': 28, 'validate': 6, 'test': 6})
    """
    distinct = list(dict.fromkeys(patients))
    places: dict[str, Split] = {}
    for start in range(0, len(distinct), len(_DEAL)):
        seats = [(derive_seed(seed, "deal", start, seat), split) for seat, split in enumerate(_DEAL)]
        block = distinct[start : start + len(_DEAL)]
        places |= {patient: split for patient, (_, split) in zip(block, sorted(seats), strict=False)}
    return places
