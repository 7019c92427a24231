"""The CheXpert observations and what can be done with label states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

State = int | None
"""1 positive, 0 negated, -1 uncertain, ``None`` not mentioned (Irvin et al. 2019)."""

CHEXPERT_OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)

SUMMARIES = frozenset({"No Finding", "normal"})
"""Columns that say that nothing was found. They follow from the others, and assert nothing."""

_RANK = {1: 3, -1: 2, 0: 1, None: 0}


def stronger(first: State, second: State) -> State:
    """Of two states in one report: positive beats uncertain beats negated beats not mentioned.

    >>> stronger(0, -1), stronger(-1, 1), stronger(None, 0)
    (-1, 1, 0)
    """
    return first if _RANK[first] >= _RANK[second] else second


def label_vector(
    labels: Mapping[str, State] | Sequence[Mapping[str, State]], *, uncertain_as: int = 1
) -> Int[np.ndarray, " observation"] | Int[np.ndarray, "report observation"]:
    """Binarise label states (Eq. 7): positive is 1, negated and not mentioned are 0.

    Args:
        labels: one report's labels, or a list of them; columns in the order of the mapping's keys.
        uncertain_as: 1 or 0, what an uncertain state counts as.

    Returns:
        int8, ``(observations,)`` for one report and ``(reports, observations)`` for a list.

    Raises:
        ValueError: ``uncertain_as`` is neither 0 nor 1.

    >>> label_vector({"Edema": 1, "Fracture": -1, "Pneumonia": 0, "Atelectasis": None}).tolist()
    [1, 1, 0, 0]
    >>> label_vector({"Edema": 1, "Fracture": -1}, uncertain_as=0).tolist()
    [1, 0]
    """
    if uncertain_as not in (0, 1):
        raise ValueError(f"Expected uncertain_as 0 or 1, got {uncertain_as!r}.")
    positive = {1, -1} if uncertain_as else {1}
    if isinstance(labels, Mapping):
        return np.array([state in positive for state in labels.values()], dtype=np.int8)
    return np.array([[state in positive for state in row.values()] for row in labels], dtype=np.int8)


def assertions(
    labels: Sequence[Mapping[str, State]], *, uncertain_as: int = 1
) -> Bool[np.ndarray, "report observation"]:
    """Which observations each report asserts: `label_vector` without the columns of `SUMMARIES`.

    >>> assertions([{"Edema": 1, "No Finding": None}, {"Edema": 0, "No Finding": 1}]).tolist()
    [[True], [False]]
    """
    kept = [{name: state for name, state in row.items() if name not in SUMMARIES} for row in labels]
    return label_vector(kept, uncertain_as=uncertain_as).astype(bool)
