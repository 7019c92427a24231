"""What ``radflow draft`` is pointed at: files, a folder, a folder of studies, or a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from radflow.errors import DataError, MissingFileError
from radflow.files import open_regular
from radflow.reports import Report
from radflow.studies import Study
from radflow.studies.dicom import expand, inspect, is_dicom
from radflow.studies.dicom.file import opened, quiet
from radflow.studies.dicom.gray import region_texts
from radflow.studies.dicom.tags import region_of
from radflow.studies.dicom.view import view_of
from radflow.studies.images import check_image

_ENDINGS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
_INSPECTED = 8  # DICOM files of a study that are decoded once more to look for what is odd
_ASKED = ("StudyInstanceUID", "Rows")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Kind(NamedTuple):
    """What a DICOM file says it shows: its Modality, and the region of the body where it names one."""

    tag: str
    region: str | None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A study whose pictures have been checked.

    Attributes:
        study: with PNG or JPEG files as its images.
        sources: the DICOM files among what it was made from.
        flags: what is odd about them, one phrase each.
        ignored: files that are no pictures.
        kind: what the first DICOM file says it shows.
        cautions: how the study differs from what the model was trained on, one sentence each.
    """

    study: Study
    sources: tuple[Path, ...] = ()
    flags: tuple[str, ...] = ()
    ignored: tuple[Path, ...] = ()
    kind: Kind | None = None
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A study of a batch, not yet checked.

    Attributes:
        study_id: unique in the batch.
        files: what it is made from.
        open: looks at them; takes a folder for pictures rendered from DICOM.
        known: of the manifest, where there is one.
    """

    study_id: str
    files: tuple[Path, ...]
    open: Callable[[Path], Opened] = field(repr=False)
    known: Study | None = None


def open_pictures(
    paths: Sequence[Path], scratch: Path, *, study_id: str, indication: str | None = None, frames: int = 8
) -> Opened:
    """The study whose pictures are ``paths``: files, or one folder.

    DICOM is rendered to PNG files in ``scratch``. Files stay in the order given. Those of a folder come by
    name, in one with DICOM as `radflow.studies.dicom.expand` orders them (frontal first); what is no picture
    is passed over.

    Raises:
        MissingFileError: no such file.
        DataError: no picture, one that cannot be read, or files of two studies.
    """
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise DataError(
            f"expected the pictures of one study, got {len(paths)} paths with a folder among them; "
            "a folder is a study of its own. Draft several with --studies PARENT_FOLDER"
        )
    pictures, ignored = pictures_in(folders[0]) if folders else (list(paths), [])
    if not pictures:
        raise DataError(f"{folders[0]}: expected PNG, JPEG or DICOM files, found none")
    if folders:
        _refuse_several_folders([path for path in pictures if not is_dicom(path)])
    sources = _dicom_images(pictures)
    if folders and sources:
        images, views = expand(folders[0], scratch, frames=frames), ()  # in the order of their views
    else:
        images, views = _rendered(pictures, scratch, frames=frames)
    for image in images:
        check_image(image)
    study = Study(
        study_id=study_id,
        patient_id=study_id,
        images=tuple(image.absolute() for image in images),
        reference=Report(text="", findings=None, impression=None),
        indication=indication,
        views=views,
    )
    return _looked_at(study, sources, ignored)


def _looked_at(study: Study, sources: tuple[Path, ...], ignored: Sequence[Path] = ()) -> Opened:
    flags = dict.fromkeys(flag for path in sources[:_INSPECTED] for flag in inspect(path).flags)
    kind = None
    if sources:
        with opened(sources[0]) as file:
            kind = Kind(file.modality, region_of(region_texts(file.tags)))
    return Opened(study=study, sources=sources, flags=tuple(flags), ignored=tuple(ignored), kind=kind)


def pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files below a folder that are meant as pictures, and the others; both by name.

    A file is meant as a picture by its ending or by its first bytes, so that a broken one is an error and not
    passed over. Hidden files and links to folders are left alone.

    Raises:
        DataError: the folder cannot be read.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    for name, inside, files in os.walk(folder, onerror=_unreadable):
        inside[:] = sorted(one for one in inside if not one.startswith((".", "__MACOSX")))
        for path in (Path(name, file) for file in sorted(files) if not file.startswith(".")):
            (pictures if _is_meant_as_picture(path) else others).append(path)
    return pictures, others


def batch_of_folder(folder: Path, *, frames: int = 8) -> tuple[list[Waiting], list[Path]]:
    """One study per subfolder, named after it; and the files beside the subfolders, which are in no study.

    Raises:
        MissingFileError: no such folder.
        DataError: it has no subfolders.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder; expected one with a subfolder per study")
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    studies = [path for path in found if path.is_dir()]
    if not studies:
        raise DataError(
            f"{folder}: expected a subfolder per study, found none; a single study needs no --studies"
        )
    waiting = [
        Waiting(
            study_id=path.name,
            files=tuple(pictures_in(path)[0]),
            open=lambda scratch, path=path: open_pictures([path], scratch, study_id=path.name, frames=frames),
        )
        for path in studies
    ]
    return waiting, [path for path in found if not path.is_dir()]


def batch_of_manifest(studies: Sequence[Study], *, frames: int = 8) -> list[Waiting]:
    """The studies of a manifest."""
    return [
        Waiting(
            study_id=study.study_id,
            files=study.images,
            known=study,
            open=lambda scratch, study=study: _open_known(study, scratch, frames=frames),
        )
        for study in studies
    ]


def _open_known(study: Study, scratch: Path, *, frames: int) -> Opened:
    images, views = _rendered(study.images, scratch, frames=frames)
    for image in images:
        check_image(image)
    if len(images) == len(study.images):
        views = study.views or views
    return _looked_at(replace(study, images=tuple(images), views=views), _dicom_images(study.images))


def _rendered(pictures: Sequence[Path], scratch: Path, *, frames: int) -> tuple[list[Path], tuple[str, ...]]:
    """Files as PNG or JPEG in the order given, with their views where DICOM names that of each."""
    images: list[Path] = []
    views: list[str | None] = []
    for number, path in enumerate(pictures):
        made, view = [path], None
        if is_dicom(path):
            made = expand(path, scratch / f"{number:04d}", frames=frames)
            with opened(path) as file:
                view = view_of(file.tags, file.modality)
        images += made
        views += [view] * len(made)
    known = tuple(view for view in views if view is not None)
    return images, known if len(known) == len(images) else ()


def _dicom_images(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The DICOM files that hold a picture.

    Raises:
        DataError: they are of more than one study. Which, by its UID, is named nowhere.
    """
    found: list[Path] = []
    studies: dict[str, Path] = {}
    for path in filter(is_dicom, paths):
        try:
            import pydicom

            with quiet():
                tags = pydicom.dcmread(path, specific_tags=list(_ASKED), stop_before_pixels=True, force=True)
        except Exception:  # broken, or pydicom is missing: rendering says so
            continue
        if "Rows" in tags:
            found.append(path)
            studies.setdefault(str(tags.get("StudyInstanceUID") or ""), path)
    studies.pop("", None)
    if len(studies) > 1:
        first, second = list(studies.values())[:2]
        raise DataError(
            f"{first} and {second} are of two studies; name the pictures of one, or draft several with "
            "--studies PARENT_FOLDER"
        )
    return tuple(found)


def _refuse_several_folders(plain: Sequence[Path]) -> None:
    """PNG and JPEG files do not say whose they are: those of one folder are taken for one study."""
    folders = sorted({path.parent for path in plain})
    if len(folders) > 1:
        raise DataError(
            f"expected the pictures of one study in one folder, got some in {folders[0]} and in "
            f"{folders[1]}; draft several studies with --studies PARENT_FOLDER"
        )


def _is_meant_as_picture(path: Path) -> bool:
    if path.name.lower().endswith(_ENDINGS):
        return True
    try:
        with open_regular(path) as file:
            return file.read(8).startswith(_MAGIC) or is_dicom(path)
    except (OSError, DataError):
        return False


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror or error})")
