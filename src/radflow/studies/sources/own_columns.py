"""Which column of your own table holds what: as you say it, or by the usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from radflow.errors import DataError, did_you_mean
from radflow.tables import find_column, plain_name

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
"""What a study has -> the names of columns that are taken for it, in upper or lower case."""


@dataclass(frozen=True, kw_only=True)
class OwnColumns:
    """Where the parts of a study stand in a table; ``None`` where nowhere.

    Attributes:
        study_id: the study; rows that follow each other with the same one are one study. Without it each row
            is one.
        patient_id: the patient, who is in one split.
        images: one or more columns of paths. A cell has one path, several between separators, a list as JSON
            or Python writes it, a folder, or a path with ``*``.
        report: the whole report, whose sections are looked for.
        findings, impression: the sections, where the table has them apart; they go before ``report``.
        indication, comparison: part of the prompt.
        split: what `radflow.studies.splits.split_named` knows, or ``data.splits``.
        view: a word per image; without it, the name of an image column may say it (``lateral_png``).
        modality: a name of `radflow.modality.MODALITIES`.
    """

    study_id: str | None = None
    images: tuple[str, ...]
    patient_id: str | None = None
    report: str | None = None
    findings: str | None = None
    impression: str | None = None
    indication: str | None = None
    comparison: str | None = None
    split: str | None = None
    view: str | None = None
    modality: str | None = None

    def __str__(self) -> str:
        """Each part with its column, in one line."""
        said = {part.name: getattr(self, part.name) for part in fields(self)}
        said["images"] = " + ".join(self.images)
        return ", ".join(f"{name} from {column!r}" for name, column in said.items() if column)


def map_columns(
    path: Path,
    columns: Sequence[str],
    wanted: Mapping[str, str | Sequence[str]],
    *,
    one_row_a_study: bool = False,
) -> OwnColumns:
    """Find the columns of a table.

    Args:
        path: of the table, for messages.
        columns: what it has.
        wanted: part of a study (a key of `USUAL`) -> column, and for ``images`` one or more, as a sequence
            or with commas.
        one_row_a_study: whether a table without a column for studies is one with a study a row.

    Raises:
        DataError: a part is none of ours, a column that is named is not there, or there is none for the
            study, the images, or the report.

    >>> print(map_columns(Path("t.csv"), ["ID", "png", "Report"], {"images": "png"}))
    study_id from 'ID', images from 'png', report from 'Report'
    """
    for part in wanted:
        if part not in USUAL:
            raise DataError(
                f"data.columns: expected {', '.join(USUAL)}, got {part!r}.{did_you_mean(part, USUAL)}"
            )
    known = {plain_name(name): name for name in reversed(columns)}  # of two alike, the first
    mapped: dict[str, tuple[str, ...]] = {}
    for part, usual in USUAL.items():
        named = wanted.get(part) or ()
        names = _names(named, columns) if isinstance(named, str) else tuple(named)
        names = tuple(find_column(name, columns, f"{path}:1", f"data.columns.{part}") for name in names)
        mapped[part] = names or tuple(known[name] for name in usual if name in known)[:1]
    required = ("images",) if one_row_a_study else ("study_id", "images")
    missing = [part for part in required if not mapped[part]]
    if not (mapped["report"] or mapped["findings"] or mapped["impression"]):
        missing.append("report")
    if missing:
        needs = ", ".join(f"data.columns.{part}" for part in missing)
        raise DataError(f"{path}:1: say which column is {needs}; found {', '.join(columns)}")
    first = {part: next(iter(names), None) for part, names in mapped.items()}
    return OwnColumns(
        study_id=first["study_id"],
        images=mapped["images"],
        patient_id=first["patient_id"],
        report=first["report"],
        findings=first["findings"],
        impression=first["impression"],
        indication=first["indication"],
        comparison=first["comparison"],
        split=first["split"],
        view=first["view"],
        modality=first["modality"],
    )


def _names(said: str, columns: Sequence[str]) -> tuple[str, ...]:
    """A column, or several as a command line names them."""
    if said in columns:
        return (said,)
    return tuple(part.strip() for part in said.split(",") if part.strip())
