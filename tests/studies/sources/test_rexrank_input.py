"""ReXrank's input files: the shapes of its three public test sets, and the real file of IU X-Ray."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.rexrank_input import open_rexrank
from radflow.studies.study import Rejected

NAN = float("nan")
MIMIC = {
    "image_path": ["/p10/p10046166/s50051329/427446c1.jpg", "/p10/p10046166/s50051329/abea5eb9.jpg"],
    "section_findings": "Lateral view limited.\nThe lungs are low in volume.",
    "section_impression": NAN,
    "frontal_lateral": ["lateral", "antero-posterior"],
    "split": "test",
    "subject_id": 10046166,
    "context": "Age:50-60.Gender:M.Indication: ___-year-old male with confusion.Comparison: ___ radiograph.",
    "key_image_path": "/p10/p10046166/s50051329/abea5eb9.jpg",
    "report": "Findings: ... Impression: None.",
}
CHEXPERT = {
    "image_path": ["valid/patient64545/study1/view1_frontal.png"],
    "report": "Findings: There is edema. Impression: 1. EDEMA.",
    "context": "Age:55.0.Gender:F.Indication:nanComparison: None.",
    "section_clinical_history": NAN,
    "section_findings": "\nThere is edema.\n",
    "section_impression": "\n1. EDEMA.\n",
    "frontal_lateral": ["Frontal"],
    "ap_pa": ["AP"],
    "age": 55.0,
    "key_image_path": "valid/patient64545/study1/view1_frontal.png",
}


def write(root: Path, name: str, studies: dict[str, Any], images: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(studies))
    for study in studies.values():
        for number, image in enumerate(study.get("image_path", [])):
            path = root / images / image.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    return root


def studies_of(root: Path, **options: Any) -> list[Study | Rejected]:
    return list(open_rexrank(root, **options).studies)


def test_mimic_cxr(tmp_path: Path) -> None:
    study = studies_of(write(tmp_path, "ReXRank_MIMICCXR_test.json", {"50051329": MIMIC}, "files"))[0]
    assert isinstance(study, Study)
    folder = tmp_path / "files/p10/p10046166/s50051329"
    assert study.images == (folder / "abea5eb9.jpg", folder / "427446c1.jpg")
    assert study.views == ("frontal", "lateral")
    assert (study.patient_id, study.split) == ("10046166", "test")
    assert study.indication == "___-year-old male with confusion."
    assert study.comparison == "___ radiograph."
    assert study.reference.findings == "Lateral view limited. The lungs are low in volume."
    assert study.reference.impression is None


def test_chexpert_plus(tmp_path: Path) -> None:
    study = studies_of(
        write(tmp_path, "ReXRank_CheXpertPlus.json", {"patient64545_study1": CHEXPERT}, "PNG")
    )[0]
    assert isinstance(study, Study)
    assert (study.patient_id, study.split, study.indication) == ("patient64545", "test", None)
    assert study.reference.text == "Findings: There is edema. Impression: 1. EDEMA."


def test_sections_and_views_may_be_asked_for(tmp_path: Path) -> None:
    root = write(tmp_path, "ReXRank_MIMICCXR_test.json", {"50051329": MIMIC}, "files")
    assert studies_of(root, sections="both") == [Rejected("50051329", "report with findings only")]
    lateral = studies_of(root, views="lateral")[0]
    assert isinstance(lateral, Study)
    assert [path.name for path in lateral.images] == ["427446c1.jpg"]


def test_the_key_image_is_the_first_where_views_are_not_known(tmp_path: Path) -> None:
    row = MIMIC | {"frontal_lateral": ["Frontal"]}  # one view for two images: which?
    study = studies_of(write(tmp_path, "ReXRank_x.json", {"1": row}, "images"), max_images=1)[0]
    assert isinstance(study, Study)
    assert ([path.name for path in study.images], study.views) == (["abea5eb9.jpg"], ())


def test_the_real_files(iu_xray: Path) -> None:
    found = [item for item in studies_of(iu_xray) if isinstance(item, Study)]
    assert Counter(study.split for study in found) == {"test": 590, "validate": 296}
    assert Counter(study.views for study in found)[()] == 23
    assert all(study.reference.sectioned for study in found)
    assert sum(study.comparison is not None for study in found) == 665  # the others say None, or nothing
    assert len({study.patient_id for study in found}) == 886
    by_id = {study.study_id: study for study in found}
    assert by_id["CXR3030_IM-1405"].indication == "Chest pain, dyspnea"
    assert by_id["CXR3030_IM-1405"].images[0] == iu_xray / "images/CXR3030_IM-1405/0.png"


def test_all_files_that_are_there_or_the_one_that_is_named(tmp_path: Path) -> None:
    write(tmp_path, "ReXRank_MIMICCXR_test.json", {"50051329": MIMIC}, "files")
    write(tmp_path, "ReXRank_CheXpertPlus.json", {"patient64545_study1": CHEXPERT}, "PNG")
    account = prepare_source("rexrank", tmp_path, tmp_path / "m.jsonl", workers=1)
    assert (account.kept, account.splits) == (2, {"test": 2})
    assert "read ReXRank_CheXpertPlus.json, ReXRank_MIMICCXR_test.json" in account.notes[0]
    assert len(studies_of(tmp_path, table=Path("ReXRank_CheXpertPlus.json"))) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"section_findings": NAN}, "report with neither section"),
        ({"split": "fold"}, "unknown split: 'fold'"),
        ({"image_path": []}, "no image"),
        ({"image_path": ["../../etc/passwd"]}, "image outside the data set: "),
    ],
)
def test_bad_studies_are_set_aside(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    (tmp_path / "ReXRank_x.json").write_text(json.dumps({"1": MIMIC | change, "2": [], "3": MIMIC}))
    found = studies_of(tmp_path)
    assert isinstance(found[0], Rejected)
    assert found[0].reason.startswith(reason)
    assert isinstance(found[1], Rejected)
    assert isinstance(found[2], Study)


def test_a_wrong_root_and_half_a_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"a ReXrank input file with ReXRank\*\.json"):
        open_rexrank(tmp_path)
    (tmp_path / "ReXRank_x.json").write_text(json.dumps({"1": MIMIC})[:-9])
    with pytest.raises(DataError, match="after 0 records"):
        studies_of(tmp_path)
