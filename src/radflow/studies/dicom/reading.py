"""DICOM in: one file to pixels, a clip, a series or a folder to pictures, and what is odd about them.

The order of the steps and the reasons are in docs/dicom.md. Nothing that identifies leaves this module:
errors name the file and the tag, never its value; `DicomInfo` holds words of closed lists and numbers;
pictures are written under names made here, without any metadata. A file's own name is repeated as it is.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.files import write_atomic
from radflow.studies.dicom.file import DicomFile, is_dicom, opened, quiet
from radflow.studies.dicom.gray import Limits, frame_tags, has_window, region_texts
from radflow.studies.dicom.marks import burned_in_text, looks_inverted
from radflow.studies.dicom.pixels import percentile_limits, render
from radflow.studies.dicom.series import Frame, evenly, frames_of, montage, stacks
from radflow.studies.dicom.tags import FILMS, region_of
from radflow.studies.dicom.values import text_of, word_of
from radflow.studies.dicom.view import view_of

_KIND = ("SOPClassUID", "Modality", "Rows")
_NO_PICTURES = ("SEG", "RTDOSE")
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601-2, as Pillow


@dataclass(frozen=True, kw_only=True)
class DicomInfo:
    """What may be told about a DICOM file.

    Attributes:
        modality: DICOM's own code, such as ``CR`` or ``US``; ``OT`` for what is not on its list.
        view: ``frontal``, ``lateral``; ``axial``, ``coronal``, ``sagittal``; ``right``, ``left``; ``None``.
        rows, columns: size of a frame, as stored.
        frames: how many there are.
        bits: of a sample that mean something.
        photometric: Photometric Interpretation.
        transfer_syntax: its name.
        flags: what a person should check, one phrase each; those of the heuristics say so.
    """

    modality: str
    view: str | None
    rows: int
    columns: int
    frames: int
    bits: int
    photometric: str
    transfer_syntax: str
    flags: tuple[str, ...]


def load_dicom(path: Path) -> Float32[np.ndarray, "H W"] | Float32[np.ndarray, "H W 3"]:
    """Read a DICOM file with one frame as it is meant to be shown: float32 in 0..1, gray or RGB.

    Raises:
        MissingFileError, MissingDependencyError: as `dicom_file.opened`.
        DataError: as `dicom_file.opened` and `dicom_pixels.render`; or the file holds several frames.
    """
    with opened(path) as file:
        _refuse_several(file)
        return render(file).pixels


def check_dicom(path: Path) -> tuple[int, int]:
    """Check that a DICOM file is a complete picture, by rendering it.

    Returns:
        ``(rows, columns)`` as stored.

    Raises:
        MissingFileError, MissingDependencyError, DataError: as `load_dicom`.
    """
    with opened(path) as file:
        _refuse_several(file)
        render(file)
        return file.rows, file.columns


def inspect(path: Path) -> DicomInfo:
    """What may be told about a file, with flags from its tags and from two heuristics on its (middle) frame.

    Raises:
        MissingFileError, MissingDependencyError, DataError: as `load_dicom`; several frames are fine.
    """
    from pydicom.uid import UID

    with opened(path) as file:
        middle = evenly(file.frames, 1)[0]
        rendered = render(file, middle)
        return DicomInfo(
            modality=file.modality,
            view=view_of(file.tags, file.modality),
            rows=file.rows,
            columns=file.columns,
            frames=file.frames,
            bits=file.stored,
            photometric=file.photometric,
            transfer_syntax=UID(file.syntax).name,
            flags=(*_tag_flags(file), *rendered.remarks, *_picture_flags(file, rendered.pixels)),
        )


def expand(path: Path, out: Path, *, frames: int = 8, as_montage: bool = False) -> list[Path]:
    """Make plain pictures of a DICOM file or of a folder that holds one study.

    A film or a single picture becomes one PNG; a clip, and each series of CT, MR or PET slices, up to
    ``frames`` evenly spaced ones, or one sheet of them. In a folder, PNG and JPEG files are passed on as they
    are and other files are skipped; links to folders are not followed. Slices without a window of their own
    share one.

    Args:
        path: the file or folder.
        out: where to write, a folder of its own for each study; made if missing. Names are numbers and kinds,
            such as ``001-slice-04.png``.
        frames: pictures of each clip or series, at least 1.
        as_montage: one sheet per clip or series instead.

    Returns:
        The pictures in a reader's order: frontal films first, then lateral ones, then by series number. PNG
        and JPEG files that lay in the folder come last.

    Raises:
        MissingFileError: there is no such path.
        DataError: a DICOM file is broken, or there is no picture at all.
        NotWritableError: ``out`` cannot be written.
    """
    if frames < 1:
        raise ValueError(f"frames should be at least 1, got {frames}")
    found: list[Frame] = []
    plain: list[Path] = []
    for file_path in _files(path):
        if out in file_path.parents:  # pictures of an earlier call
            continue
        if is_dicom(file_path) and (file_path == path or not _holds_no_picture(file_path)):
            with opened(file_path) as file:
                found += frames_of(file)
        elif file_path.suffix.lower() in (".png", ".jpg", ".jpeg"):
            plain.append(file_path)
    if not found and not plain:
        raise DataError(f"{path}: expected a DICOM file or a folder with pictures, found none")
    written: list[Path] = []
    for number, stack in enumerate(stacks(found), start=1):
        picked = [stack[place] for place in evenly(len(stack), frames)]
        pictures = _pictures(picked)
        kind = _kind(stack)
        if as_montage and len(pictures) > 1:
            pictures, kind = [montage(pictures)], "montage"
        written += [
            _save(picture, out, f"{number:03d}-{kind}-{k:02d}.png") for k, picture in enumerate(pictures, 1)
        ]
    return written + plain


def _files(path: Path) -> Iterator[Path]:
    """The file, or all files under a folder in a fixed order."""
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder")
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names))


def _holds_no_picture(path: Path) -> bool:
    """Is this a directory, a report, a waveform, or pixels that are no picture: a segmentation, a dose?"""
    from pydicom import dcmread
    from pydicom.uid import UID

    with quiet():
        try:
            tags = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_KIND))
        except Exception:  # broken: `opened` says how
            return False
    named = text_of(tags.file_meta, "MediaStorageSOPClassUID") or text_of(tags, "SOPClassUID")
    if word_of(tags, "Modality") in _NO_PICTURES:
        return True
    return "Rows" not in tags and "Image Storage" not in UID(named).name


def _kind(stack: Sequence[Frame]) -> str:
    if stack[0].volume:
        return "slice"
    return "frame" if len(stack) > 1 else "picture"


def _pictures(picked: Sequence[Frame]) -> list[Image.Image]:
    """Render frames, slices without a window of their own with shared limits."""
    limits = _shared_limits(picked) if picked[0].volume else None
    pictures = []
    for frame in picked:
        with opened(frame.path) as file:
            pixels = render(file, frame.index, limits).pixels
        pictures.append(Image.fromarray(np.round(pixels * 255).astype(np.uint8)))
    return pictures


def _shared_limits(picked: Sequence[Frame]) -> Limits | None:
    """Black and white over several slices, where the first has no window; CT has its windows by region."""
    with opened(picked[0].path) as file:
        colour = file.samples == 3 or file.photometric == "PALETTE COLOR"
        if colour or file.modality == "CT" or has_window(frame_tags(file.tags, picked[0].index)):
            return None
    ends = []
    for frame in picked:
        with opened(frame.path) as file:
            ends.append(percentile_limits(file, frame.index))
    return min(low for low, _ in ends), max(high for _, high in ends)


def _save(picture: Image.Image, out: Path, name: str) -> Path:
    """Write a PNG without metadata, whole or not at all."""
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_atomic(out / name, content.getvalue(), what="cannot write the picture", sync=False)
    return out / name


def _refuse_several(file: DicomFile) -> None:
    if file.frames > 1:
        raise DataError(
            f"{file.path}: expected one picture, got a clip or series of {file.frames} frames; "
            "'radflow prepare' and 'radflow draft' make pictures of it (radflow.studies.dicom.expand)"
        )


def _tag_flags(file: DicomFile) -> list[str]:
    tags, flags = file.tags, []
    if word_of(tags, "BurnedInAnnotation") == "YES":
        flags.append("burned-in text: the file's tag says so")
    if word_of(tags, "PresentationIntentType") == "FOR PROCESSING":
        flags.append("raw detector data, not made for display")
    if file.excess_frames:
        flags.append("the pixel data hold more frames than NumberOfFrames says; the first were used")
    return flags


def _picture_flags(file: DicomFile, pixels: Float32[np.ndarray, "..."]) -> list[str]:
    gray = pixels @ _LUMINANCE if pixels.ndim == 3 else pixels
    flags = []
    letters = burned_in_text(gray)
    if letters:
        flags.append(f"burned-in text: {letters} letters near the borders (heuristic)")
    chest = file.modality in FILMS and region_of(region_texts(file.tags)) in ("chest", None)
    if chest and looks_inverted(gray):
        flags.append("looks inverted: PhotometricInterpretation may be wrong (heuristic); not changed")
    return flags
