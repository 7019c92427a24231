"""Your own table of studies, in any format of `radflow.tables`, with a map to what you call its columns.

One row is one study, or one image of one: rows that follow each other with the same id are one study. The
ways to name several images in a row are in `Columns`, and docs/datasets.md has a worked example. Pictures
that a table holds itself are written out, because a study has paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from radflow import tables
from radflow.config.data import Columns
from radflow.errors import DataError, MissingFileError, did_you_mean
from radflow.modality import MODALITIES, ModalityName
from radflow.reports import Report, parse_report
from radflow.reports.headers import Headers, read_headers
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice, Sections, report_of
from radflow.studies.sources.embedded import cell_items, is_embedded, write_picture
from radflow.studies.sources.folders import IMAGE_ENDINGS, first_there, image_root, inside, lies_in
from radflow.studies.splits import assign_split, split_named
from radflow.studies.study import SPLITS, Rejected, Split, Study
from radflow.studies.views import Picture, Views, said, view_of
from radflow.tables import (
    ARROW,
    TABLES,
    Row,
    Table,
    ending,
    find_column,
    identifier,
    listed,
    plain_name,
    words,
)
from radflow.tables.arrow import is_saved

USUAL: dict[str, tuple[str, ...]] = {
    "study_id": ("study_id", "study", "id", "uid", "accession", "accessionnumber", "studyinstanceuid"),
    "patient_id": ("patient_id", "patient", "subject_id", "subject", "patientid", "deid_patient_id"),
    "images": ("images", "image", "image_path", "image_paths", "imagepath", "path", "file", "filename"),
    "report": ("report", "report_text", "text", "reference_report"),
    "findings": ("findings", "section_findings"),
    "impression": ("impression", "section_impression", "conclusion"),
    "indication": ("indication", "clinical_history", "history", "section_clinical_history"),
    "comparison": ("comparison", "section_comparison"),
    "split": ("split",),
    "view": ("view", "views", "view_position", "viewposition", "frontal_lateral", "projection"),
    "modality": (),  # a DICOM modality such as CR is not ours
}
"""What a study has, as in `Columns` -> the names of columns that are taken for it, in upper or lower case."""


def open_table(
    root: Path,
    *,
    table: Path | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    splits: Mapping[str, Split] | None = None,
    separator: str = ";",
    encoding: str = "utf-8",
    modality: ModalityName = "chest-xray",
    views: Views = "all",
    max_images: int | None = None,
    sections: Sections = "any",
    headers: Path | None = None,
    images: Path | None = None,
    store: Path | None = None,
    seed: int = 0,
) -> Source:
    """Open a table of studies.

    Args:
        root: the folder of the table and, unless ``images`` says otherwise, of the images.
        table: the file, or a folder of Parquet or Arrow files, relative to the root; when not given the only
            table there, or the root itself where it is such a folder.
        columns: what `map_columns` is asked for.
        splits: what the table calls a split -> what radflow calls it; the usual names are known.
        separator: between several images, or views, in one cell.
        encoding: of a CSV file, where it is not found: UTF-8, cp1252 where it is not, UTF-16 with its mark.
        modality: of the studies, where no column says it.
        views: which pictures of a study; needs a column for views, or image columns named after them.
        max_images: at most so many, frontal before lateral.
        sections: ``any`` keeps a report in which no sections are found, or one; ``both`` leaves it out.
        headers: a TOML file with names of the sections, where they are not the usual ones.
        images: the folder that the paths of images start from, where it is not the root.
        store: the folder for pictures that the table holds itself; the engine names one.
        seed: places the patients, where no column says the split.

    Raises:
        MissingFileError: there is no table.
        MissingDependencyError: pyarrow or openpyxl is needed and not installed.
        DataError: a column is missing, or an option is none of those above.
    """
    choice = Choice(views=views, max_images=max_images, sections=sections)
    for name, split in (splits or {}).items():
        if split not in SPLITS:
            raise DataError(f"splits: expected {name!r} to be one of {', '.join(SPLITS)}, got {split!r}")
    rows = tables.open_table(_table(root, table), encoding=encoding)
    mapped = map_columns(rows.path, rows.columns, columns or {}, one_row_a_study=rows.examples)
    if views != "all" and not mapped.view and all(view_of(name) == "unknown" for name in mapped.images):
        raise DataError(
            f"{rows.path}: no column says which images are {views}; name it in data.columns.view, or use "
            "views = 'all'"
        )
    opened = _OwnTable(
        rows=rows,
        folders=(image_root(root, images),) if images else _folders(root, rows.path),
        columns=mapped,
        splits=splits or {},
        separator=separator,
        modality=modality,
        choice=choice,
        headers=read_headers(headers),
        store=store,
        seed=seed,
    )
    return Source(total=None, studies=opened.studies(), notes=_notes(mapped), late_notes=rows.remarks.lines)


def _table(root: Path, table: Path | None) -> Path:
    if root.is_file():
        raise DataError(f"{root}: expected a folder as root, and the table in it as data.table")
    if table is not None:
        path = root / table
        if not path.exists():
            raise MissingFileError(f"{path}: no such table; in {root}, {lies_in(root)}")
        return path
    if is_saved(root):
        return root
    found = sorted(path for path in root.iterdir() if path.is_file() and ending(path) in TABLES)
    found = [path for path in found if ending(path) != ".json"] or found  # .json is mostly about the data
    if len(found) == 1:
        return found[0]
    if all(ending(path) in ARROW for path in found) and next(root.rglob("*.parquet"), None):
        return root
    names = ", ".join(path.name for path in found) or "none"
    raise MissingFileError(f"{root}: expected one table here, found {names}; name it with data.table")


def _folders(root: Path, table: Path) -> tuple[Path, ...]:
    """Where a relative path of an image may start."""
    folders = [root, root / "images"]
    beside = table if table.is_dir() else table.parent
    if beside.is_relative_to(root):
        folders.append(beside)
    return tuple(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def map_columns(
    path: Path,
    columns: Sequence[str],
    wanted: Mapping[str, str | Sequence[str]],
    *,
    one_row_a_study: bool = False,
) -> Columns:
    """Find the columns of a table: as they are named, or by the usual names.

    Args:
        path: of the table, for messages.
        columns: what it has.
        wanted: part of a study -> column, and for ``images`` one or more, as a sequence or with commas.
        one_row_a_study: whether a table without a column for studies is one with a study a row.

    Raises:
        DataError: a part is none of ours, a column that is named is not there, or there is none for the
            study, the images, or the report.

    >>> map_columns(Path("t.csv"), ["ID", "png", "Report"], {"images": "png"}).study_id
    'ID'
    """
    for part in wanted:
        if part not in USUAL:
            raise DataError(
                f"data.columns: expected {', '.join(USUAL)}, got {part!r}.{did_you_mean(part, USUAL)}"
            )
    known = {plain_name(name): name for name in reversed(columns)}  # of two alike, the first
    mapped: dict[str, Any] = {}
    for part, usual in USUAL.items():
        named = wanted.get(part) or ()
        names = _names(named, columns) if isinstance(named, str) else tuple(named)
        names = tuple(find_column(name, columns, f"{path}:1", f"data.columns.{part}") for name in names)
        names = names or tuple(known[name] for name in usual if name in known)[:1]
        mapped[part] = names if part == "images" else next(iter(names), None)
    required = ("images",) if one_row_a_study else ("study_id", "images")
    missing = [part for part in required if not mapped[part]]
    if not (mapped["report"] or mapped["findings"] or mapped["impression"]):
        missing.append("report")
    if missing:
        needs = ", ".join(f"data.columns.{part}" for part in missing)
        raise DataError(f"{path}:1: say which column is {needs}; found {', '.join(columns)}")
    return Columns(**mapped)


def _names(said: str, columns: Sequence[str]) -> tuple[str, ...]:
    """A column, or several as a command line names them."""
    if said in columns:
        return (said,)
    return tuple(part.strip() for part in said.split(",") if part.strip())


def _notes(columns: Columns) -> tuple[str, ...]:
    parts = ((name, " + ".join(said) if name == "images" else said) for name, said in columns)
    notes = ["columns: " + ", ".join(f"{name} from {said!r}" for name, said in parts if said)]
    if columns.study_id is None:
        notes.append("no column for studies: each row is one, named by its number; or name columns.study_id")
    if columns.patient_id is None:
        notes.append("no column for patients: each study counts as one, so check that no patient has two")
    if columns.split is None:
        notes.append("no column for splits: patients were placed by hash, 70 / 15 / 15 %")
    return tuple(notes)


@dataclass(frozen=True, kw_only=True)
class _OwnTable:
    rows: Table
    folders: tuple[Path, ...]
    columns: Columns
    splits: Mapping[str, Split]
    separator: str
    modality: ModalityName
    choice: Choice
    headers: Headers
    store: Path | None
    seed: int

    def studies(self) -> Iterator[Study | Rejected]:
        numbered = enumerate(self.rows.rows(), start=1)
        for study, group in groupby(numbered, lambda item: self._study_id(*item)):
            rows = [row for _, row in group]
            if study is None:
                yield from (Rejected(row.where, row.problem or f"no study id: {row.where}") for row in rows)
                continue
            try:
                yield self._study(study, rows)
            except DataError as error:
                yield Rejected(study, str(error))

    def _study_id(self, number: int, row: Row) -> str | None:
        if self.columns.study_id is not None or row.problem is not None:
            return identifier(row.fields.get(self.columns.study_id or ""))
        return f"{self.rows.path.stem}-{number}"

    def _study(self, study: str, rows: list[Row]) -> Study:
        columns = self.columns
        report = self._report(rows)
        if report is None:
            raise DataError(f"empty report: {rows[0].where}")
        report = self.choice.report(report)
        patient = study if columns.patient_id is None else identifier(self._one(rows, columns.patient_id))
        if patient is None:
            raise DataError(f"no patient: {rows[0].where}")
        pictures = [picture for row in rows for picture in self._pictures(row)]
        chosen = self.choice.pictures(pictures)
        return Study(
            study_id=study,
            patient_id=patient,
            images=tuple(picture.path for picture in chosen),
            reference=report,
            indication=words(self._one(rows, columns.indication)),
            comparison=words(self._one(rows, columns.comparison)),
            split=self._split(rows, patient),
            modality=self._modality(rows),
            views=said(chosen),
        )

    def _one(self, rows: list[Row], column: str | None) -> Any:
        """What the rows of a study say in a column, which must be the same on each."""
        if column is None:
            return None
        value = rows[0].fields.get(column)
        if any(words(row.fields.get(column)) != words(value) for row in rows[1:]):
            raise DataError(f"rows of one study differ: {rows[0].where}: in the column {column!r}")
        return value

    def _report(self, rows: list[Row]) -> Report | None:
        columns = self.columns
        findings, impression = self._one(rows, columns.findings), self._one(rows, columns.impression)
        sections = report_of(words(findings), words(impression))
        if sections is not None or columns.report is None:
            return sections
        text = self._one(rows, columns.report)
        if words(text) is None:
            return None
        report = parse_report(str(text).strip(), self.headers)
        return report_of(words(report.findings), words(report.impression)) or report

    def _split(self, rows: list[Row], patient: str) -> Split:
        if self.columns.split is None:
            return assign_split(patient, self.seed)
        word = identifier(self._one(rows, self.columns.split)) or ""
        split = self.splits.get(word) or split_named(word)
        if split is None:
            raise DataError(f"unknown split: {word!r:.40}; say in data.splits which of ours it is")
        return split

    def _modality(self, rows: list[Row]) -> ModalityName:
        if self.columns.modality is None:
            return self.modality
        word = words(self._one(rows, self.columns.modality))
        if word not in MODALITIES:
            raise DataError(f"unknown modality: {word!r:.40}; expected one of {', '.join(MODALITIES)}")
        return word

    def _pictures(self, row: Row) -> Iterator[Picture]:
        views = listed(row.fields.get(self.columns.view or ""), self.separator)
        place = 0
        for column in self.columns.images:
            for item in cell_items(row.fields.get(column), self.separator):
                for path in [self._written(item)] if is_embedded(item) else self._files(item):
                    word = views[min(place, len(views) - 1)] if views else column
                    yield Picture(path, view_of(word))
                place += 1

    def _written(self, item: Any) -> Path:
        if self.store is None:
            raise DataError("embedded image: expected a folder to write it to (store)")
        return write_picture(item, self.store)

    def _files(self, name: str) -> list[Path]:
        """The files that one path names: itself, what its ``*`` stands for, or all images of a folder."""
        path = inside(self.folders[0], name)
        if "*" in name:
            pattern = path.relative_to(self.folders[0]).as_posix()
            found = sorted(file for file in self.folders[0].glob(pattern) if file.is_file())
        elif path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_ENDINGS)
        else:
            return [first_there(self.folders, name)]
        if not found:
            raise DataError(f"missing image: nothing matches {name!r:.80}")
        return found
