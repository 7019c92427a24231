"""Controls that write the report of a training study: of the nearest indication, or of the nearest images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float

from radflow.baselines import NearestContext, most_frequent_report
from radflow.errors import TrainingError
from radflow.policy import Policy
from radflow.policy.families import bare
from radflow.studies import Study

INDICATION, IMAGE = "nearest-indication", "nearest-image"
NEAREST = (INDICATION, IMAGE)
CANDIDATES = 4_096
"""Training studies to choose from, evenly spaced: bounds memory and the passes of the tower."""


def nearest_reports(
    control: str, train: Sequence[Study], test: Sequence[Study], policy: Callable[[], Policy]
) -> list[str]:
    """The report of the most similar training study for each test study, the first of equals.

    A test study without an indication, or with no word of any, gets the most frequent report.

    Args:
        control: one of `NEAREST`.
        train: studies to choose from; other patients than those of ``test``, as splits are by patient.
        test: studies to write reports for.
        policy: gives the policy whose tower looks at the images, and is called for ``nearest-image`` alone.

    Raises:
        TrainingError: the policy's tower cannot be asked for what it sees.
    """
    texts = [study.reference.canonical for study in train]
    chosen = np.linspace(0, len(train) - 1, min(len(train), CANDIDATES)).round().astype(int)
    some = [train[i] for i in chosen]
    if control == INDICATION:
        nearest = NearestContext([study.indication or "" for study in some])
        found = nearest.find([study.indication or "" for study in test], [set() for _ in test])
        usual = most_frequent_report(texts)
        return [usual if place is None else texts[chosen[place]] for place in found]
    seen = policy()
    places = nearest_rows(image_vectors(seen, some), image_vectors(seen, test))
    return [texts[chosen[place]] for place in places]


def image_vectors(policy: Policy, studies: Sequence[Study]) -> Float[np.ndarray, "N D"]:
    """What the policy's tower sees of each study: the mean over its patches or visual tokens.

    Raises:
        TrainingError: its model gives neither.
    """
    policy.model.requires_grad_(False)  # or nothing that the tower says is kept
    return np.stack([_vector(policy, study) for study in studies])


def nearest_rows(among: Float[np.ndarray, "M D"], asked: Float[np.ndarray, "N D"]) -> list[int]:
    """The row with the largest cosine for each asked one, after the mean of all is taken off.

    >>> among = np.array([[9.0, 1.0], [9.0, -1.0], [10.0, 0.0]])
    >>> nearest_rows(among, np.array([[9.0, 0.5], [11.0, 0.0]]))
    [0, 2]
    """
    mean = among.mean(axis=0)
    rows, wanted = (_unit(vectors - mean) for vectors in (among, asked))
    return [int(place) for place in (wanted @ rows.T).argmax(axis=1)]


def _unit(vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, np.finfo(vectors.dtype).tiny)


@torch.no_grad()
def _vector(policy: Policy, study: Study) -> Float[np.ndarray, " D"]:
    prompt = policy.prompt(study)
    states = prompt.image_fields.get("tower_states")
    if states is not None:  # zeros fill up what is no picture; a study alone has none
        return states.float().flatten(0, -2).mean(dim=0).cpu().numpy()
    features = policy.features_of([prompt])
    if features is None:
        raise TrainingError(
            f"evaluation.controls: {IMAGE} asks what the tower sees; {type(bare(policy.model)).__name__} "
            "does not say, or policy.image_features is off"
        )
    return torch.cat(features[0].tokens).float().mean(dim=0).cpu().numpy()
