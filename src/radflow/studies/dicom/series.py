"""Many DICOM files to the pictures of a study: which are slices of one series, and in which order."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from radflow.studies.dicom.file import DicomFile
from radflow.studies.dicom.gray import frame_tags
from radflow.studies.dicom.tags import VOLUMES
from radflow.studies.dicom.values import number_of, numbers_of, text_of, texts_of
from radflow.studies.dicom.view import directions_of, view_of

if TYPE_CHECKING:
    from pydicom import Dataset

_LOCALIZER = re.compile(r"\b(scout|localizer|localiser|topogram|surview|scanogram|survey|loc)\b", re.I)
_VIEWS = ("frontal", "lateral")
_TILE, _GAP = 384, 2  # pixels of a montage


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture that could be shown: a file, or a frame of one. What identifies stays out of its repr."""

    path: Path
    index: int
    volume: bool
    localizer: bool
    view: str | None
    at: float | None = field(repr=False)
    series: tuple[str, ...] = field(repr=False)
    number: tuple[int, int] = field(repr=False)


def frames_of(file: DicomFile) -> list[Frame]:
    """The frames of an opened file, with what decides where each belongs."""
    tags = file.tags
    kind = {word.upper() for word in texts_of(tags, "ImageType")}
    description = text_of(tags, "SeriesDescription")
    number = int(number_of(tags, "SeriesNumber") or 0), int(number_of(tags, "InstanceNumber") or 0)
    frames = []
    for index in range(file.frames):
        own = frame_tags(tags, index)
        volume = file.modality in VOLUMES
        directions = directions_of(own, file.modality) if volume else None
        frames.append(
            Frame(
                path=file.path,
                index=index,
                volume=volume,
                localizer="LOCALIZER" in kind or (volume and bool(_LOCALIZER.search(description))),
                view=view_of(own, file.modality),
                at=_position(own) if volume else None,
                series=(
                    text_of(tags, "SeriesInstanceUID") or str(file.path),
                    f"{file.rows} x {file.columns}",
                    "/".join(directions or ()),
                ),
                number=number,
            )
        )
    return frames


def _position(tags: Dataset) -> float | None:
    """Place of a slice along the normal of its plane, in mm: head to feet, front to back, right to left."""
    cosines = numbers_of(tags, "ImageOrientationPatient")
    origin = numbers_of(tags, "ImagePositionPatient")
    if len(cosines) != 6 or len(origin) != 3:
        return None
    normal = np.cross(cosines[:3], cosines[3:])
    axis = int(np.argmax(np.abs(normal)))
    towards = -1.0 if axis == 2 else 1.0
    place = float(np.dot(normal, origin) * np.sign(normal[axis]) * towards)
    return place if math.isfinite(place) else None


def stacks(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames sorted into series of slices, clips and single pictures; each in order, localizers left out.

    Slices of one series that differ in size or orientation are series of their own. Localizers stay where
    there is nothing else. Films come first, frontal before lateral; then the order is series number, instance
    number.
    """
    kept = [frame for frame in frames if not frame.localizer] or list(frames)
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in kept:
        groups[frame.series if frame.volume else (frame.path,)].append(frame)
    ordered = [sorted(group, key=_slice_key(group)) for group in groups.values()]
    return sorted(
        ordered, key=lambda group: (_VIEW_RANK.get(group[0].view or "", 2), min(f.number for f in group))
    )


_VIEW_RANK = {view: rank for rank, view in enumerate(_VIEWS)}


def _slice_key(group: Sequence[Frame]):
    """Sort by place where every slice has one, else by instance number."""
    if all(frame.at is not None for frame in group):
        return lambda frame: (frame.at, frame.number, frame.index)
    return lambda frame: (frame.number, frame.index)


def evenly(count: int, wanted: int) -> list[int]:
    """Evenly spaced places: the middles of ``wanted`` equal parts of ``count``; all where there are no more.

    The ends of a stack show air and the ends of a clip a moving probe, so they are not preferred.

    >>> evenly(10, 3), evenly(2, 8)
    ([1, 5, 8], [0, 1])
    """
    if count <= wanted:
        return list(range(count))
    return [int((place + 0.5) * count / wanted) for place in range(wanted)]


def montage(pictures: Sequence[Image.Image]) -> Image.Image:
    """One sheet of pictures, row by row, each at most 384 pixels per side."""
    tiles = []
    for picture in pictures:
        tile = picture.copy()
        tile.thumbnail((_TILE, _TILE))
        tiles.append(tile)
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    sheet = Image.new(tiles[0].mode, (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % columns * (width + _GAP), place // columns * (height + _GAP)))
    return sheet
