"""Manifests: JSONL, one study per line, images relative to the manifest's folder.

A line holds the fields of `Study` that are not at their default. The reference report is stored as

* ``"findings"`` and ``"impression"``, when it is exactly what `render_report` writes for them;
* these and the whole ``"report"``, when it says more (a MIMIC-CXR report with its technique and history);
* ``"report"`` alone, when it has no sections. `parse_report` is asked again on reading.

Reading sets bad studies aside with one reason each and goes on; only when too many are bad does it stop.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from radflow.errors import (
    DataError,
    MissingDependencyError,
    MissingFileError,
    RadflowError,
    did_you_mean,
)
from radflow.files import write_jsonl, writing
from radflow.modality import MODALITIES
from radflow.reports import Report, parse_report, render_report
from radflow.studies.images import check_image
from radflow.studies.places import Allowed, around, image_place, note
from radflow.studies.preparing.processes import in_order
from radflow.studies.study import SPLITS, Rejected, Split, Study
from radflow.tables import ARROW, EXCEL, TEXT, ending
from radflow.tables.opening import LONGEST, lines, opened, too_long

MAX_BAD_SHARE = 0.05
_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_OF_A_TABLE = "radflow prepare table makes a manifest of one"
_SHOWN = 3  # rejected studies named in an error

# The fields of a line by JSON type. Any other key is an error: a misspelt one would be silently lost.
_STRINGS = ("study_id", "patient_id", "report", "findings", "impression", "indication", "comparison")
_STRINGS += ("split", "modality", "critical_by", "prior_study", "prior_report")
_FIELDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(_STRINGS, (str, "a string")),
    **dict.fromkeys(("images", "views"), (list, "a list of strings")),
    **dict.fromkeys(("critical", "drawn"), (bool, "true or false")),
    "truth": (dict, "an object"),
}
_REQUIRED = ("study_id", "patient_id", "images", "split")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a manifest held.

    Attributes:
        path: the file.
        studies: the good studies, in the order of the file.
        rejected: the bad ones, with one reason each that names file and line.
    """

    path: Path
    studies: tuple[Study, ...]
    rejected: tuple[Rejected, ...]

    def split(self, name: Split) -> tuple[Study, ...]:
        """The studies of one split."""
        return tuple(study for study in self.studies if study.split == name)


def write_manifest(path: Path, studies: Iterable[Study], *, places: Iterable[Path] | None = None) -> None:
    """Write a manifest, whole or not at all, and note beside it where images outside its folder lie.

    Args:
        path: the manifest.
        studies: in the order of its lines.
        places: the folders to note; those of the studies' images when not given (`radflow.studies.places`).

    Raises:
        NotWritableError: the folder cannot be made or written.
    """
    folder, studies = path.absolute().parent, list(studies)
    rows = (manifest_row(study, folder) for study in studies)
    write_jsonl(path, rows, what="the manifest cannot be written")
    note(path, around(studies, folder) if places is None else places)


def read_manifest(
    path: Path,
    *,
    check_images: bool = True,
    max_bad_share: float = MAX_BAD_SHARE,
    rejected: Path | None = None,
    needs_report: bool = True,
    allow: Allowed | None = None,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
    first: int | None = None,
) -> Manifest:
    """Read a manifest and set its bad studies aside.

    Bad is: a line that is not a JSON object, a field that is missing, misspelt or of the wrong type, an empty
    report, a study id that came before, a patient who came before in another split, an image that lies where
    it may not, is missing, or cannot be used (`check_image`). A report without headers is good.

    Args:
        path: the manifest.
        check_images: decode every image once.
        max_bad_share: the share of bad studies, 0 to 1, above which reading stops.
        rejected: where to write the bad ones as JSONL (``study``, ``reason``); a file of an earlier reading
            is replaced, or removed when nothing is bad.
        needs_report: whether a study without a report is bad. One without is what a report is drafted for.
        allow: where images may lie; anywhere when not given.
        workers: processes that look at images; ``None`` for one per usable core. With more than one, a script
            must guard its top level with ``if __name__ == "__main__":``.
        progress: called with (done, total) as images are looked at.
        first: at most this many lines are read.

    Raises:
        MissingFileError: there is no such manifest.
        MissingDependencyError: of what reads an image.
        DataError: no study, or a share of bad ones above ``max_bad_share``; names the first few.
    """
    folder = path.absolute().parent
    lines = islice(_lines(path), first)
    read = [_read(line, f"{path}:{n}", n, folder, needs_report, allow) for n, line in lines]
    images = {image: None for _, study in read if isinstance(study, Study) for image in study.images}
    unusable: dict[Path, str | None] = {}
    if check_images:
        for said in in_order(_unusable, images, workers=workers):
            unusable |= said
            if progress is not None:
                progress(len(unusable), len(images))
    good: list[Study] = []
    bad: list[Rejected] = []
    ids: dict[str, int] = {}
    patients: dict[str, tuple[Split, int]] = {}
    for number, study in read:
        if isinstance(study, Rejected):
            bad.append(study)
            continue
        where = f"{path}:{number}"
        reason = _clash(study, where, ids, patients)
        if reason is None and (broken := next(filter(None, map(unusable.get, study.images)), None)):
            reason = f"{where}: study {study.study_id!r}: {broken}"
        if reason is not None:
            bad.append(Rejected(study.study_id, reason))
            continue
        ids[study.study_id] = number
        patients.setdefault(study.patient_id, (study.split, number))
        good.append(study)
    if rejected is not None:
        _write_rejected(rejected, bad)
    if not good and not bad:
        raise DataError(
            f"{path}: expected one study per line, got an empty file; run 'radflow prepare' again"
        )
    if len(bad) > max_bad_share * (len(good) + len(bad)):
        raise DataError(_too_many(path, bad, len(good) + len(bad), max_bad_share, rejected))
    return Manifest(path=path, studies=tuple(good), rejected=tuple(bad))


def _read(
    line: bytes, where: str, number: int, folder: Path, needs_report: bool, allow: Allowed | None
) -> tuple[int, Study | Rejected]:
    """One line as a study, or why it is none."""
    name: str | int = number
    try:
        row = _parse_line(line, where)
        name = row["study_id"] if isinstance(row.get("study_id"), str) else number
        return number, _from_row(row, where, folder, needs_report, allow)
    except RadflowError as error:
        return number, Rejected(name, str(error))


def _unusable(images: Sequence[Path]) -> list[tuple[Path, str | None]]:
    """Each image, and why it cannot be used."""
    return [(image, _why_unusable(image)) for image in images]


def _why_unusable(image: Path) -> str | None:
    try:
        check_image(image)
    except MissingDependencyError:
        raise  # of the machine, not of this study
    except RadflowError as error:
        return str(error)
    return None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, as bytes, so that broken UTF-8 spoils one study and not the file."""
    if not path.exists():
        raise MissingFileError(f"{path}: no such manifest; make one with 'radflow prepare'")
    if path.is_dir() or ending(path) in (*TEXT, *ARROW, *EXCEL):
        raise DataError(f"{path}: expected a manifest (JSONL), got a table; {_OF_A_TABLE}")
    with opened(path) as file:
        for number, line in enumerate(lines(file), start=1):
            if line.strip():
                yield number, line


def _parse_line(line: bytes, where: str) -> dict[str, Any]:
    if too_long(line):
        raise DataError(f"{where}: expected one study, got a line of more than {LONGEST:,} bytes")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: expected one JSON object, got broken JSON ({error})") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected one JSON object, got {type(row).__name__}")
    if _HALF_A_PAIR.search(line) and _has_surrogates(row):
        raise DataError(f"{where}: expected text, got half a surrogate pair, which cannot be written")
    return row


def _has_surrogates(row: Mapping[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _from_row(
    row: Mapping[str, Any], where: str, folder: Path, needs_report: bool, allow: Allowed | None
) -> Study:
    """A study from a line's object, its fields checked."""
    _check_fields(row, where)
    fields = {name: value for name, value in row.items() if value is not None}
    report = _report(fields, where, needs_report)
    for name in ("report", "findings", "impression"):
        fields.pop(name, None)
    try:
        images = tuple(image_place(folder, image, allow) for image in fields.pop("images"))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return Study(reference=report, images=images, views=tuple(fields.pop("views", ())), **fields)


def _check_fields(row: Mapping[str, Any], where: str) -> None:
    for name in row:
        if name not in _FIELDS:
            raise DataError(f"{where}: unknown field {name!r}.{did_you_mean(name, _FIELDS)}")
    for name in _REQUIRED:
        if row.get(name) in (None, "", []):
            raise DataError(f"{where}: the field {name!r} is missing or empty")
    for name, value in row.items():
        kind, words = _FIELDS[name]
        if value is not None and not (isinstance(value, kind) and _holds_strings(value)):
            raise DataError(f"{where}: {name!r} should be {words}, got {value!r:.80}")
    for name, known in (("split", SPLITS), ("modality", MODALITIES)):
        if row.get(name) is not None and row[name] not in known:
            raise DataError(f"{where}: {name!r} should be one of {', '.join(known)}, got {row[name]!r:.80}")
    views = row.get("views")
    if views and len(views) != len(row["images"]):
        raise DataError(f"{where}: {len(row['images'])} images but {len(views)} views; one word per image")


def _holds_strings(value: Any) -> bool:
    """False for a list with anything but strings that say something; true for all else."""
    return not isinstance(value, list) or all(isinstance(item, str) and item for item in value)


def _report(fields: Mapping[str, Any], where: str, needs_report: bool) -> Report:
    """The reference report of a line (the module's docstring says how it is stored)."""
    text, findings, impression = (_filled(fields.get(name)) for name in ("report", "findings", "impression"))
    if findings is not None or impression is not None:
        return Report(
            text=text or render_report(findings, impression), findings=findings, impression=impression
        )
    if text is None and not needs_report:
        return Report(text="", findings=None, impression=None)
    if text is None:
        raise DataError(f"{where}: the report is empty: no 'findings', no 'impression' and no 'report'")
    return parse_report(text)


def _filled(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _clash(
    study: Study, where: str, ids: Mapping[str, int], patients: Mapping[str, tuple[Split, int]]
) -> str | None:
    """Why a study cannot stand beside those before it."""
    if study.study_id in ids:
        return f"{where}: study {study.study_id!r} was already on line {ids[study.study_id]}"
    split, line = patients.get(study.patient_id, (study.split, 0))
    if split != study.split:
        return (
            f"{where}: patient {study.patient_id!r} is in {study.split} here, in {split} on line {line}; "
            "keep a patient in one split"
        )
    return None


def manifest_row(study: Study, folder: Path) -> dict[str, Any]:
    """The JSON object of a study in a manifest that lies in ``folder``, defaults left out."""
    reference = study.reference
    row: dict[str, Any] = {"study_id": study.study_id, "patient_id": study.patient_id, "split": study.split}
    row["modality"] = study.modality
    row["images"] = [_relative(image, folder) for image in study.images]
    row |= {"findings": reference.findings, "impression": reference.impression}
    if reference.text != render_report(reference.findings, reference.impression) or not _has_sections(
        reference
    ):
        row["report"] = reference.text
    for name in ("indication", "comparison", "prior_study", "prior_report", "critical", "critical_by"):
        row[name] = getattr(study, name)
    if study.views:
        row["views"] = list(study.views)
    if study.drawn:
        row["drawn"] = True
    if study.truth:
        row["truth"] = dict(study.truth)
    return {name: value for name, value in row.items() if value is not None}


def _has_sections(report: Report) -> bool:
    return report.findings is not None or report.impression is not None


def _relative(image: Path, folder: Path) -> str:
    """The path from the manifest's folder; absolute where there is none (another drive of Windows)."""
    try:
        return Path(os.path.relpath(image.absolute(), folder)).as_posix()
    except ValueError:
        return image.absolute().as_posix()


def _write_rejected(path: Path, bad: list[Rejected]) -> None:
    with writing(path):
        if bad:
            write_jsonl(path, (item._asdict() for item in bad))
        else:
            path.unlink(missing_ok=True)


def _too_many(path: Path, bad: list[Rejected], total: int, allowed: float, rejected: Path | None) -> str:
    first = "".join(f"\n  {item.reason}" for item in bad[:_SHOWN])
    more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    place = f", all listed in {rejected}" if rejected is not None else ""
    remedy = "mend them, prepare again, or allow a larger share"
    if len(bad) == total:
        remedy += f"; is it a table of your own? {_OF_A_TABLE}"
    return (
        f"{path}: {len(bad)} of {total} studies are bad, more than the allowed {allowed:.0%}{place}; "
        f"{remedy}:{first}{more}"
    )
