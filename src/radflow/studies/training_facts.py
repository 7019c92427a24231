"""What the studies were like that a model was trained on, as counts and a description of their pictures.

It lies beside the model as ``training.json``, so that whoever drafts with the model can be told when a study
is unlike all it has seen. It holds no picture, no text and no id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from pydantic import BaseModel, ConfigDict

from radflow.modality import ModalityName
from radflow.studies.images import to_pil
from radflow.studies.study import Study

FILE = "training.json"

_EDGE = 16  # pixels of a thumbnail's side: enough to tell a chest film from a sonogram, too few to know whose
_AXES = 8
_SAMPLE = 256  # pictures that the description is made from
_FEWEST = 32  # with fewer, what is usual among them is anybody's guess


class Likeness(BaseModel):
    """What training pictures look like: the mean and the main axes of their thumbnails.

    Attributes:
        mean: the mean thumbnail, 256 numbers.
        axes: the first eight principal axes, 256 numbers each.
        limit: the largest distance from the span of the axes among training pictures that were held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    limit: float

    def covers(self, picture: Path) -> bool:
        """Whether a picture is as near to the axes as the training pictures were."""
        return bool(
            _distances(_thumbnails([picture]), np.array(self.mean), np.array(self.axes))[0] <= self.limit
        )


class TrainingFacts(BaseModel):
    """What the training studies of a model were like.

    Attributes:
        modality: of all of them.
        drawn: whether their pictures were drawn by a program.
        studies: how many.
        fewest_images: pictures of the study with the fewest.
        most_images: pictures of the study with the most.
        views: the views that occur, where they are known.
        indication_share: share of the studies with an indication, 0 to 1.
        likeness: what their pictures look like; ``None`` where they are too few to tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: ModalityName
    drawn: bool
    studies: int
    fewest_images: int
    most_images: int
    views: tuple[str, ...]
    indication_share: float
    likeness: Likeness | None = None


def training_facts(studies: Sequence[Study]) -> TrainingFacts:
    """Describe the studies of a training split; at most 256 of their pictures are read.

    Raises:
        DataError: a picture cannot be read.
    """
    counts = [len(study.images) for study in studies]
    pictures = [image for study in studies for image in study.images]
    return TrainingFacts(
        modality=studies[0].modality,
        drawn=any(study.drawn for study in studies),
        studies=len(studies),
        fewest_images=min(counts),
        most_images=max(counts),
        views=tuple(sorted({view for study in studies for view in study.views if view != "unknown"})),
        indication_share=round(sum(bool(study.indication) for study in studies) / len(studies), 4),
        likeness=likeness(pictures[:: max(1, len(pictures) // _SAMPLE)][:_SAMPLE]),
    )


def likeness(pictures: Sequence[Path]) -> Likeness | None:
    """Describe pictures by principal component analysis of one half; the other half sets the limit."""
    if len(pictures) < _FEWEST:
        return None
    thumbnails = _thumbnails(pictures)
    made_from, held_out = thumbnails[::2], thumbnails[1::2]
    mean = made_from.mean(axis=0).round(5)
    axes = np.linalg.svd(made_from - mean, full_matrices=False)[2][:_AXES].round(5)
    limit = float(_distances(held_out, mean, axes).max())
    return Likeness(mean=tuple(mean.tolist()), axes=tuple(map(tuple, axes.tolist())), limit=round(limit, 5))


def _thumbnails(pictures: Sequence[Path]) -> Float[np.ndarray, "N D"]:
    """Gray thumbnails with mean 0 and norm 1, so that brightness and contrast do not count."""
    size = (_EDGE, _EDGE)
    rows = [np.asarray(to_pil(p).convert("L").resize(size, Image.Resampling.BOX), float) for p in pictures]
    flat = np.stack(rows).reshape(len(rows), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _distances(
    thumbnails: Float[np.ndarray, "N D"], mean: Float[np.ndarray, "D"], axes: Float[np.ndarray, "K D"]
) -> Float[np.ndarray, "N"]:
    """Length of what the axes leave unexplained."""
    centred = thumbnails - mean
    return np.linalg.norm(centred - centred @ axes.T @ axes, axis=1)
