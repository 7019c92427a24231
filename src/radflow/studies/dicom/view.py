"""Which view a DICOM picture is, as one word, and the turn to the usual display."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

from radflow.studies.dicom.gray import region_texts
from radflow.studies.dicom.tags import FILMS, VOLUMES, region_of
from radflow.studies.dicom.values import items_of, numbers_of, text_of, texts_of, word_of
from radflow.studies.views import view_of as view_of_word

if TYPE_CHECKING:
    from pydicom import Dataset

# Letters of PS3.3 C.7.6.1.1.1: left, right, anterior, posterior, head, feet of the patient.
_OPPOSITE = dict(zip("LRAPHF", "RLPAFH", strict=True))
_PLANES = {frozenset("LH"): "coronal", frozenset("PH"): "sagittal", frozenset("LP"): "axial"}
# Where the columns and the rows of the usual display run to: the patient's right is on the reader's left.
_DISPLAY = {"coronal": ("L", "F"), "sagittal": ("P", "F"), "axial": ("L", "P")}
_SIDES = {"R": "right", "L": "left"}
_TRUNK = ("chest", "abdomen", None)

Directions = tuple[str, str]


def view_of(tags: Dataset, modality: str) -> str | None:
    """The view as one word, or ``None`` where the tags do not say.

    Films: ``frontal`` or ``lateral``, by the first of View Position, View Code Sequence, Series Description
    and Protocol Name that says so. CT, MR and PET: ``axial``, ``coronal`` or ``sagittal``, from Image
    Orientation. All else: ``right`` or ``left``, from Image Laterality.
    """
    if modality in VOLUMES:
        directions = directions_of(tags, modality)
        return plane_of(directions) if directions else None
    if modality in FILMS or region_of(region_texts(tags)) == "chest":
        codes = [text_of(item, "CodeMeaning") for item in items_of(tags, "ViewCodeSequence")]
        descriptions = [text_of(tags, keyword) for keyword in ("SeriesDescription", "ProtocolName")]
        views = map(_film_view, (text_of(tags, "ViewPosition"), *codes, *descriptions))
        return next((view for view in views if view), None)
    sides = [word_of(tags, keyword) for keyword in ("ImageLaterality", "Laterality")]
    return next((_SIDES[side] for side in sides if side in _SIDES), None)


def _film_view(text: str) -> str | None:
    word = "unknown" if "OBLIQUE" in text.upper() else view_of_word(text)
    return None if word == "unknown" else word


def directions_of(tags: Dataset, modality: str) -> Directions | None:
    """Where the columns (first) and the rows of the stored picture run to, as letters; ``None`` if unknown.

    From Image Orientation of slices, by the nearest axis, and from Patient Orientation of films.
    """
    if modality in VOLUMES:
        cosines = numbers_of(tags, "ImageOrientationPatient")
        return (_letter(cosines[:3]), _letter(cosines[3:])) if len(cosines) == 6 else None
    letters = [text.upper()[:1] for text in texts_of(tags, "PatientOrientation")]
    if len(letters) != 2 or not all(letter in _OPPOSITE for letter in letters):
        return None
    return letters[0], letters[1]


def _letter(vector: list[float]) -> str:
    """The patient's axis nearest to a vector in millimetres to the left, back and head."""
    axis = int(np.argmax(np.abs(vector)))
    return ("LR", "PA", "HF")[axis][int(vector[axis] < 0)]


def plane_of(directions: Directions) -> str | None:
    """``axial``, ``coronal`` or ``sagittal``.

    >>> plane_of(("L", "P")), plane_of(("R", "F")), plane_of(("L", "R"))
    ('axial', 'coronal', None)
    """
    axes = {letter if letter in "LPH" else _OPPOSITE[letter] for letter in directions}
    return _PLANES.get(frozenset(axes))


def turned(
    pixels: Num[np.ndarray, "..."], tags: Dataset, modality: str
) -> tuple[Num[np.ndarray, "..."], tuple[str, ...]]:
    """The picture the way readers expect it, and a remark where that changed it.

    Slices, and films of the trunk, are turned so that the patient's right is on the reader's left and the
    head is up (axial: the front is up). A lateral film is put upright and never mirrored, since both sides
    are customary. Field of View Horizontal Flip and Rotation tell how the detector's picture became the
    stored one; the stored one is upright already, so they change nothing.
    """
    directions = directions_of(tags, modality)
    plane = plane_of(directions) if directions else None
    if directions is None or plane is None:
        return pixels, ()
    wanted = _DISPLAY[plane]
    if modality not in VOLUMES:
        if modality not in FILMS or region_of(region_texts(tags)) not in _TRUNK or plane == "axial":
            return pixels, ()
        if plane == "sagittal":
            front = directions[0] if directions[0] in "AP" else directions[1]
            wanted = (front, "F")
    if directions == wanted:
        return pixels, ()
    return _turn(pixels, directions, wanted), (f"turned from {'/'.join(directions)} to {'/'.join(wanted)}",)


def _turn(
    pixels: Num[np.ndarray, "..."], directions: Directions, wanted: Directions
) -> Num[np.ndarray, "..."]:
    """Transpose and flip so that columns and rows run where they should."""
    across, down = directions
    if across not in (wanted[0], _OPPOSITE[wanted[0]]):
        pixels, across, down = pixels.swapaxes(0, 1), down, across
    if across != wanted[0]:
        pixels = pixels[:, ::-1]
    if down != wanted[1]:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
