"""R2Gen's annotation.json, in its two published shapes: IU X-Ray with two images, MIMIC-CXR with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study, read_manifest
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.r2gen import IuViews, open_r2gen
from radflow.studies.study import Rejected


def iu(study: str, split: str, report: str = "The lungs are clear.") -> dict[str, Any]:
    return {"id": study, "report": report, "image_path": [f"{study}/0.png", f"{study}/1.png"], "split": split}


def mimic(dicom: str, subject: int, study: int) -> dict[str, Any]:
    return {
        "id": dicom,
        "study_id": study,
        "subject_id": subject,
        "report": f"Heart size of {dicom} is normal .",
        "image_path": [f"p10/p{subject}/s{study}/{dicom}.jpg"],
        "split": "train",
    }


def write(
    root: Path, splits: dict[str, list[Any]], *, images: str = "images", name: str = "annotation.json"
) -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(splits))
    for number, entry in enumerate(entry for entries in splits.values() for entry in entries):
        for place, image in enumerate(entry["image_path"]):
            path = root / images / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8 + place), number, np.uint8)).save(path)
    return root


IU = {
    "train": [iu("CXR2384_IM-0942", "train"), iu("CXR1_1_IM-0001", "train")],
    "val": [iu("CXR1000_IM-0003", "val", "FINDINGS: Opacity.\nIMPRESSION: Mass.")],
    "test": [iu("CXR3030_IM-1405", "test")],
}
MIMIC = {
    "train": [mimic("02aa804e", 10000032, 50414267), mimic("174413ec", 10000032, 50414267)],
    "val": [mimic("aec4b7d3", 10000764, 57375967)],
    "test": [mimic("6e2935c6", 10000898, 50771383)],
}


def studies_of(root: Path, **options: Any) -> list[Study | Rejected]:
    return list(open_r2gen(root, **options).studies)


def test_iu_x_ray(tmp_path: Path) -> None:
    account = prepare_source("r2gen", write(tmp_path, IU), tmp_path / "m.jsonl", workers=1)
    assert account.splits == {"train": 2, "validate": 1, "test": 1}
    studies = {study.study_id: study for study in read_manifest(tmp_path / "m.jsonl").studies}
    first = studies["CXR1_1_IM-0001"]
    assert first.images == tuple(tmp_path / f"images/CXR1_1_IM-0001/{place}.png" for place in (0, 1))
    assert (first.patient_id, first.views) == ("CXR1", ())
    assert (first.reference.findings, first.reference.impression) == ("The lungs are clear.", None)
    assert first.reference.canonical == "The lungs are clear."
    both = studies["CXR1000_IM-0003"].reference
    assert (both.findings, both.impression) == ("Opacity.", "Mass.")


def test_mimic_cxr_counts_entries_and_keeps_its_patients(tmp_path: Path) -> None:
    write(tmp_path, MIMIC, images="files", name="mimic_annotation_all.json")
    found = studies_of(tmp_path)
    ids = [(item.study_id, item.patient_id) for item in found if isinstance(item, Study)]
    assert ids[:2] == [("02aa804e", "10000032"), ("174413ec", "10000032")]
    assert all(isinstance(item, Study) and item.images[0].is_file() for item in found)


def test_views_come_from_the_table_of_kaggle(tmp_path: Path) -> None:
    write(tmp_path, IU)
    with pytest.raises(DataError, match=r"no indiana_projections\.csv lies near it; use views = 'all'"):
        open_r2gen(tmp_path, views="frontal")
    (tmp_path / "indiana_projections.csv").write_text(
        "uid,filename,projection\n2384,2384_IM-0942-1001.dcm.png,Lateral\n2384,2384_IM-0942-2001.dcm.png,Frontal\n"
        "1,1_IM-0001-3001.dcm.png,Frontal\n1,1_IM-0001-4001.dcm.png,Lateral\n"
    )
    found = studies_of(tmp_path)
    assert isinstance(found[0], Study)
    assert [path.name for path in found[0].images] == ["1.png", "0.png"]
    assert found[0].views == ("frontal", "lateral")
    lateral = studies_of(tmp_path, views="lateral")
    assert isinstance(lateral[1], Study)
    assert [path.name for path in lateral[1].images] == ["1.png"]
    assert isinstance(lateral[2], Rejected)


def test_the_real_views_are_those_of_rexrank(iu_xray: Path) -> None:
    from radflow.studies.sources.openi import read_projections

    views = IuViews(read_projections(iu_xray))
    agree, other = 0, set()
    for name in ("test", "valid"):
        for study, row in json.loads((iu_xray / f"ReXRank_IUXray_{name}.json").read_text()).items():
            for path, view in zip(row["image_path"], row["frontal_lateral"], strict=False):
                if (known := views.of(path)) != "unknown":
                    agree += known == view.lower()
                    other |= {study} if known != view.lower() else set()
    assert (agree, other) == (1700, set())


def test_the_real_split_file_has_ids_that_name_a_patient(iu_xray: Path, tmp_path: Path) -> None:
    real = json.loads((iu_xray / "r2gen_split.json").read_text())
    splits = {
        name: [iu(study, name) for study in real[key]]
        for name, key in (("val", "validate"), ("test", "test"))
    }
    (tmp_path / "annotation.json").write_text(json.dumps(splits))
    found = [item for item in studies_of(tmp_path) if isinstance(item, Study)]
    assert len(found) == len({item.patient_id for item in found}) == 886
    assert all(item.patient_id == item.study_id.partition("_")[0] for item in found)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (7, "broken row"),
        ({"id": "x", "report": "  ", "image_path": ["a.png"]}, "empty report"),
        ({"id": "x", "report": "Clear.", "image_path": []}, "no image"),
        (
            {"id": "x", "report": "Clear.", "image_path": ["../../../etc/passwd"]},
            "image outside the data set",
        ),
        ({"report": "Clear.", "image_path": ["/etc/passwd"]}, "image outside the data set"),
    ],
)
def test_bad_entries_are_set_aside(tmp_path: Path, entry: Any, reason: str) -> None:
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry]}))
    refused = studies_of(tmp_path)[0]
    assert isinstance(refused, Rejected)
    assert refused.reason.partition(":")[0] == reason
    assert refused.study in ("x", "train entry 0")


def test_ids_twice_an_image_in_two_splits_and_a_patient_in_two(tmp_path: Path) -> None:
    splits = {
        "train": [iu("CXR7_IM-0001", "train"), iu("CXR7_IM-0001", "train"), mimic("a", 10000032, 1)],
        "test": [
            iu("CXR8_IM-0001", "test") | {"image_path": ["CXR7_IM-0001/0.png"]},
            mimic("b", 10000032, 2),
        ],
    }
    account = prepare_source("r2gen", write(tmp_path, splits), tmp_path / "m.jsonl", workers=1)
    assert account.rejected == {"study id twice": 1, "image in two splits": 1, "patient in two splits": 1}
    assert account.patients_in_two_splits == 0


def test_a_split_of_another_name(tmp_path: Path) -> None:
    refused = studies_of(write(tmp_path, {"fold1": IU["test"]}))[0]
    assert refused == Rejected("CXR3030_IM-1405", "unknown split: fold1")


def test_half_a_download_and_a_wrong_root(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"a data set of R2Gen with annotation\.json"):
        open_r2gen(tmp_path)
    write(tmp_path, IU)
    text = (tmp_path / "annotation.json").read_text()
    (tmp_path / "annotation.json").write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match=r"annotation\.json: expected JSON, at byte .*after 2 records"):
        studies_of(tmp_path)


def test_the_file_may_be_named(tmp_path: Path) -> None:
    write(tmp_path, IU)
    write(tmp_path, MIMIC, name="other.json")
    assert len(studies_of(tmp_path, table=Path("other.json"), modality="carotid-us")) == 4
    with pytest.raises(
        MissingFileError, match=r"with none\.json; there are annotation\.json, images/, other\.json"
    ):
        open_r2gen(tmp_path, table=Path("none.json"))
