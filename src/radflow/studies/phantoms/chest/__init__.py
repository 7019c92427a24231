"""Draw a frontal (PA) chest radiograph from the MeSH tags of a report.

A stand-in for real films, for tests, demonstrations and small experiments; nothing here is a patient, and
whatever shows these pictures must say that they are drawn. The anatomy is simple geometry, the physics a
monoenergetic Beer-Lambert projection (``film.py``). Small findings (nodules, granulomas, clips, spurs) are
exaggerated so that a model that sees about 100 pixels per side can see them at all.

Left out: the lateral view (tags that only it shows are unsupported), age, anything a tag does not say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from radflow.errors import DataError
from radflow.studies.phantoms.chest.anatomy import draw_anatomy
from radflow.studies.phantoms.chest.build import sample_build
from radflow.studies.phantoms.chest.film import Film, expose
from radflow.studies.phantoms.chest.findings import add_finding
from radflow.studies.phantoms.chest.shapes import reshape
from radflow.studies.phantoms.chest.tags import parse_tag

SMALLEST = 16
"""Least film size in pixels; below it nothing of a chest is left."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawn radiograph.

    Attributes:
        image: 8-bit grey values, bright is dense; the patient's right is on the image's left.
        drawn: the tags that the image shows, as given (``normal`` shows as nothing added).
        unsupported: the tags that it does not show.
    """

    image: UInt8[np.ndarray, "H W"]
    drawn: tuple[str, ...]
    unsupported: tuple[str, ...]


def draw_chest(mesh_tags: Sequence[str], *, study_id: str, size: int = 256) -> Drawing:
    """Draw the radiograph that a report's MeSH tags describe.

    The patient and the exposure depend on ``study_id`` alone, each finding on ``study_id`` and its tag alone:
    adding a tag changes nothing else, and the order of tags hardly matters. Every process draws the same
    picture, and every size shows the same one apart from its pixel noise.

    Args:
        mesh_tags: Open-i ``major`` tags, e.g. ``["Cardiomegaly/mild", "Pleural Effusion/left/small"]``.
        study_id: names the patient to draw.
        size: pixels per side.

    Raises:
        DataError: when ``size`` is under ``SMALLEST``.

    >>> drawing = draw_chest(["Cardiomegaly/mild", "Kyphosis"], study_id="7", size=64)
    >>> drawing.drawn, drawing.unsupported, drawing.image.shape
    (('Cardiomegaly/mild',), ('Kyphosis',), (64, 64))
    """
    if size < SMALLEST:
        raise DataError(f"study {study_id}: expected a size of at least {SMALLEST} pixels, got {size}")
    tags = [parse_tag(text) for text in dict.fromkeys(mesh_tags)]
    shown = {tag.text for tag in tags if tag.finding == "normal"}
    visible = [tag for tag in tags if not tag.lateral_only]

    build = sample_build(_rng(study_id, "build"))
    for tag in visible:
        changed = reshape(build, tag, _rng(study_id, "shape", tag.text))
        if changed is not None:
            build = changed
            shown.add(tag.text)
    film = Film.blank(size, build.pose)
    draw_anatomy(film, build, _rng(study_id, "anatomy"))
    shown.update(
        tag.text for tag in visible if add_finding(film, build, tag, _rng(study_id, "finding", tag.text))
    )
    image = expose(
        film, _rng(study_id, "noise"), centre=build.centre, contrast=build.contrast, photons=build.photons
    )
    return Drawing(
        image=image,
        drawn=tuple(text for text in mesh_tags if text in shown),
        unsupported=tuple(text for text in mesh_tags if text not in shown),
    )


def _rng(*names: str) -> np.random.Generator:
    """Return a generator seeded by names alone, the same in every process."""
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
