"""CheXpert Plus, on a small copy of its layout: the table says .jpg and is shuffled, archives hold .png."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study, read_manifest
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.chexpert_plus import open_chexpert_plus, study_of
from radflow.studies.study import Rejected

TABLE = "df_chexpert_plus_240401.csv"
COLUMNS = (
    "path_to_image",
    "path_to_dcm",
    "frontal_lateral",
    "ap_pa",
    "deid_patient_id",
    "patient_report_date_order",
    "report",
    "section_narrative",
    "section_clinical_history",
    "section_history",
    "section_comparison",
    "section_technique",
    "section_procedure_comments",
    "section_findings",
    "section_impression",
    "section_end_of_impression",
    "section_summary",
    "section_accession_number",
    "age",
    "sex",
    "race",
    "ethnicity",
    "interpreter_needed",
    "insurance_type",
    "recent_bmi",
    "deceased",
    "split",
)


def row(patient: int, study: int, view: str, split: str = "train", **said: str) -> dict[str, str]:
    path = f"{split}/patient{patient:05}/study{study}/{view}"
    return {
        **dict.fromkeys(COLUMNS, ""),
        "path_to_image": f"{path}.jpg",
        "path_to_dcm": f"{path}.dcm",
        "frontal_lateral": "Lateral" if "lateral" in view else "Frontal",
        "ap_pa": "" if "lateral" in view else "AP",
        "deid_patient_id": f"patient{patient:05}",
        "patient_report_date_order": str(study),
        "section_findings": f"\nHeart of study {study}\nis normal.\n",
        "section_impression": f"\n1. NORMAL CHEST {study}.\n",
        "split": split,
        **said,
    }


def write(
    root: Path, rows: list[dict[str, str]], *, images: str = "PNG", columns: tuple[str, ...] = COLUMNS
) -> Path:
    """The table as pandas writes it, with its nameless index, and one little PNG an image."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, ("", *columns), extrasaction="ignore")
        writer.writeheader()
        writer.writerows({"": str(number), **line} for number, line in enumerate(rows))
    for number, line in enumerate(rows):
        path = (root / images / line["path_to_image"]).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    return root


ROWS = [
    row(42142, 5, "view2_lateral"),
    row(1, 1, "view1_frontal", section_clinical_history=" 61 years Female,\nICU. "),
    row(42142, 5, "view1_frontal"),
    row(42142, 2, "view1_frontal", section_findings="", section_comparison="8/8/2005."),
    row(64545, 1, "view1_frontal", split="valid", section_history="Cough."),
]


def studies_of(root: Path, **options: object) -> dict[str | int, Study | Rejected]:
    source = open_chexpert_plus(root, **options)  # ty: ignore[invalid-argument-type]
    found = list(source.studies)
    assert source.total == len(found)
    return {item.study_id if isinstance(item, Study) else item.study: item for item in found}


def test_a_study_is_gathered_from_its_rows(tmp_path: Path) -> None:
    study = studies_of(write(tmp_path, ROWS))["patient42142_study5"]
    assert isinstance(study, Study)
    folder = tmp_path / "PNG/train/patient42142/study5"
    assert study.images == (folder / "view1_frontal.png", folder / "view2_lateral.png")
    assert study.views == ("frontal", "lateral")
    assert study.patient_id == "patient42142"
    assert study.reference.findings == "Heart of study 5 is normal."
    assert study.reference.impression == "1. NORMAL CHEST 5."
    assert study.prior_study == "patient42142_study2"
    assert study.prior_report == "1. NORMAL CHEST 2."


def test_history_and_comparison(tmp_path: Path) -> None:
    found = studies_of(write(tmp_path, ROWS), sections="any")
    said: Mapping[str, object] = {
        str(name): (item.indication, item.comparison)
        for name, item in found.items()
        if isinstance(item, Study)
    }
    assert said == {
        "patient00001_study1": ("61 years Female, ICU.", None),
        "patient42142_study5": (None, None),
        "patient42142_study2": (None, "8/8/2005."),
        "patient64545_study1": ("Cough.", None),
    }


def test_the_official_split_and_that_of_rexrank(tmp_path: Path) -> None:
    rows = [row(patient, 1, "view1_frontal") for patient in range(200)] + ROWS[-1:]
    root = write(tmp_path, rows)
    official = [item.split for item in studies_of(root).values() if isinstance(item, Study)]
    assert (official.count("train"), official.count("validate"), official.count("test")) == (200, 1, 0)
    found = studies_of(root, split="rexrank")
    rexrank = {str(name): item.split for name, item in found.items() if isinstance(item, Study)}
    assert rexrank["patient64545_study1"] == "test"
    assert 0 < list(rexrank.values()).count("validate") < 15
    assert "no test" in " ".join(open_chexpert_plus(root).notes)


def test_views_and_number_of_images(tmp_path: Path) -> None:
    root = write(tmp_path, ROWS)
    lateral = studies_of(root, views="lateral")
    assert lateral["patient00001_study1"] == Rejected(
        "patient00001_study1", "no lateral image: it has 1 frontal"
    )
    study = studies_of(root, max_images=1)["patient42142_study5"]
    assert isinstance(study, Study)
    assert [path.name for path in study.images] == ["view1_frontal.png"]


def test_archives_unpacked_each_in_its_own_folder(tmp_path: Path) -> None:
    root = write(tmp_path, ROWS[:3], images="png_chexpert_plus_chunk_0/PNG")
    write(tmp_path, ROWS, images="png_chexpert_plus_chunk_4/PNG")
    for copy in (root / "png_chexpert_plus_chunk_4/PNG/train").glob("*/study[15]/*.png"):
        copy.unlink()
    account = prepare_source("chexpert-plus", root, tmp_path / "m.jsonl", workers=1, sections="any")
    assert (account.kept, account.rejected) == (4, {})


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    root = write(tmp_path, ROWS)
    account = prepare_source("chexpert-plus", root, tmp_path / "m.jsonl", workers=1)
    assert account.rejected == {"report with impression only": 1}
    studies = read_manifest(tmp_path / "m.jsonl").studies
    assert [study.study_id for study in studies] == [
        "patient42142_study5",
        "patient00001_study1",
        "patient64545_study1",
    ]
    assert studies[0].prior_report == "1. NORMAL CHEST 2."


def test_broken_rows_and_missing_images_are_set_aside(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        row(7, 1, "view1_frontal", split="fold7"),
        row(8, 1, "view1_frontal", deid_patient_id=""),
        row(9, 1, "view1_frontal"),
    ]
    root = write(tmp_path, rows)
    (root / "PNG/train/patient00009/study1/view1_frontal.png").unlink()
    with (root / TABLE).open("a") as file:
        file.write("9,train/nobody.jpg" + "," * 26 + "\n10,too few\n")
    account = prepare_source("chexpert-plus", root, tmp_path / "m.jsonl", workers=1, sections="any")
    assert account.kept == 4
    assert account.rejected == {
        "broken row": 2,
        "unknown split": 1,
        "no patient": 1,
        "missing image": 1,
    }


def test_a_path_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, ROWS[1:2])
    rows = [row(3, 1, "x", path_to_image="../../../patient00003/study1/view1.jpg"), ROWS[1]]
    with (root / TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    refused = studies_of(root)["patient00003_study1"]
    assert isinstance(refused, Rejected)
    assert refused.reason.startswith("image outside the data set: ")


def test_a_wrong_root_and_images_still_packed(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"CheXpert Plus with df_chexpert_plus_240401\.csv .*is empty"):
        open_chexpert_plus(tmp_path)
    write(tmp_path, ROWS)
    (tmp_path / "PNG").rename(tmp_path / "elsewhere")
    (tmp_path / "png_chexpert_plus_chunk_0.zip").touch()
    with pytest.raises(MissingFileError, match=r"still packed are png_chexpert_plus_chunk_0\.zip: unpack"):
        open_chexpert_plus(tmp_path)
    assert len(studies_of(tmp_path, images=tmp_path / "elsewhere")) == 4


def test_a_missing_column_and_no_images(tmp_path: Path) -> None:
    write(tmp_path, ROWS, columns=tuple(name for name in COLUMNS if name != "section_findings"))
    with pytest.raises(DataError, match=r"240401\.csv:1: expected a column 'section_findings', found "):
        open_chexpert_plus(tmp_path)
    with pytest.raises(DataError, match="max_images: expected at least 1, got 0"):
        open_chexpert_plus(tmp_path, max_images=0)


def test_a_path_of_another_data_set() -> None:
    with pytest.raises(DataError, match=r"expected a path \.\.\./patientN/studyN/view\.jpg"):
        study_of("p10/p10000032/s50414267.jpg")
