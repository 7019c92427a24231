"""IU X-Ray in its three layouts, on small copies of them, and on the nine real radiographs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study, read_manifest
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.iu_xray import open_iu_xray
from radflow.studies.study import Rejected

XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
  <meta type="rr"/>
  <uId id="CXR{number}"/>
  <MedlineCitation><Article><Abstract>
    <AbstractText Label="COMPARISON">None.</AbstractText>
    <AbstractText Label="INDICATION">Positive TB test</AbstractText>
    <AbstractText Label="FINDINGS">{findings}</AbstractText>
    <AbstractText Label="IMPRESSION">Normal chest x-XXXX.</AbstractText>
  </Abstract></Article></MedlineCitation>
  <MeSH><major>normal</major></MeSH>
  {images}
</eCitation>"""
IDS = {
    1: ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"],
    2: ["CXR2_IM-0652-1001", "CXR2_IM-0652-2001"],
    16: [],
    1000: ["CXR1000_IM-0003-1001", "CXR1000_IM-0003-2001", "CXR1000_IM-0003-3001"],
    3030: ["CXR3030_IM-1405-1001"],
}
KAGGLE = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
VIEWS = {"3001": "Lateral", "4001": "Frontal", "1001": "Frontal", "2001": "Lateral"}


def png(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), len(str(path)), np.uint8)).save(path)


def kaggle_name(image_id: str) -> str:
    return f"{image_id.removeprefix('CXR').replace('1_1_IM', '1_IM')}.dcm.png"


def open_i(root: Path) -> Path:
    """NLMCXR_reports.tgz and NLMCXR_png.tgz, unpacked."""
    (root / "ecgen-radiology").mkdir(parents=True)
    for number, ids in IDS.items():
        images = "".join(f'<parentImage id="{name}"><caption/></parentImage>' for name in ids)
        findings = "" if number == 2 else "The lungs are\nclear."
        text = XML.format(number=number, findings=findings, images=images)
        (root / f"ecgen-radiology/{number}.xml").write_text(text)
        for name in ids:
            png(root / f"NLMCXR_png/{name}.png")
    return root


def projections(root: Path) -> None:
    with (root / "indiana_projections.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("uid", "filename", "projection"))
        for number, ids in IDS.items():
            writer.writerows((number, kaggle_name(name), VIEWS[name[-4:]]) for name in ids)


def kaggle(root: Path) -> Path:
    """The data set raddar/chest-xrays-indiana-university."""
    root.mkdir(parents=True, exist_ok=True)
    projections(root)
    with (root / "indiana_reports.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(KAGGLE)
        for number, ids in IDS.items():
            mesh = "Opacity/lung/base/left;Cardiomegaly/mild"
            said = ("Cough.", "None.", "" if number == 2 else "The lungs are clear.", "Normal chest x-XXXX.")
            writer.writerow((number, mesh, "Opacity;Cardiomegaly", "Xray Chest PA and Lateral", *said))
            for name in ids:
                png(root / "images/images_normalized" / kaggle_name(name))
    return root


def r2gen(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    ids = {"train": ["CXR1_1_IM-0001"], "val": [], "test": ["CXR1000_IM-0003"]}
    entries = {
        split: [{"id": i, "report": "Clear.", "image_path": [f"{i}/0.png", f"{i}/1.png"]} for i in names]
        for split, names in ids.items()
    }
    (root / "annotation.json").write_text(json.dumps(entries))
    for entry in (entry for split in entries.values() for entry in split):
        for name in entry["image_path"]:
            png(root / "images" / name)
    return root


def studies_of(root: Path, **options: Any) -> dict[str | int, Study | Rejected]:
    found = list(open_iu_xray(root, **options).studies)
    return {item.study_id if isinstance(item, Study) else item.study: item for item in found}


def names(item: Study | Rejected) -> list[str]:
    assert isinstance(item, Study)
    return [path.name for path in item.images]


def test_open_i(tmp_path: Path) -> None:
    found = studies_of(open_i(tmp_path))
    first = found["CXR1"]
    assert isinstance(first, Study)
    assert names(first) == ["CXR1_1_IM-0001-3001.png", "CXR1_1_IM-0001-4001.png"]
    assert (first.patient_id, first.indication, first.views) == ("CXR1", "Positive TB test", ())
    assert first.reference.findings == "The lungs are clear."
    assert first.truth == {"mesh": ["normal"]}
    assert found["CXR2"] == Rejected("CXR2", "report with impression only")
    assert found["CXR16"] == Rejected("CXR16", "no image")
    assert len(names(found["CXR1000"])) == 3
    assert list(found) == ["CXR1", "CXR2", "CXR16", "CXR1000", "CXR3030"]


def test_kaggle(tmp_path: Path) -> None:
    found = studies_of(kaggle(tmp_path), sections="any")
    assert names(found["CXR1"]) == ["1_IM-0001-4001.dcm.png", "1_IM-0001-3001.dcm.png"]
    assert isinstance(found["CXR1"], Study)
    assert found["CXR1"].views == ("frontal", "lateral")
    assert found["CXR1"].truth == {"mesh": ["Opacity/lung/base/left", "Cardiomegaly/mild"]}
    assert isinstance(found["CXR2"], Study)
    assert found["CXR2"].reference.text == "Normal chest x-XXXX."


def test_r2gen(tmp_path: Path) -> None:
    found = studies_of(r2gen(tmp_path))
    assert list(found) == ["CXR1_1_IM-0001", "CXR1000_IM-0003"]
    assert names(found["CXR1000_IM-0003"]) == ["0.png", "1.png"]


def test_the_three_layouts_keep_the_r2gen_split(tmp_path: Path) -> None:
    for name, make in (("open-i", open_i), ("kaggle", kaggle)):
        account = prepare_source("iu-xray", make(tmp_path / name), tmp_path / f"{name}.jsonl", workers=1)
        splits = {study.study_id: study.split for study in read_manifest(tmp_path / f"{name}.jsonl").studies}
        assert (splits["CXR1000"], splits["CXR3030"]) == ("train", "test")  # as in r2gen_split.txt
        assert account.rejected == {"report with impression only": 1, "no image": 1}


def test_reports_of_one_layout_with_images_of_another(tmp_path: Path) -> None:
    root = open_i(tmp_path / "xml")
    shutil.rmtree(root / "NLMCXR_png")
    kaggle(tmp_path / "kaggle")
    found = studies_of(root, images=tmp_path / "kaggle/images/images_normalized")
    assert names(found["CXR1"]) == ["1_IM-0001-4001.dcm.png", "1_IM-0001-3001.dcm.png"]
    r2gen(tmp_path / "r2gen")
    found = studies_of(root, images=tmp_path / "r2gen/images")
    assert names(found["CXR1000"]) == ["0.png", "1.png"]


def test_views_need_the_table_of_kaggle(tmp_path: Path) -> None:
    root = open_i(tmp_path / "root")
    with pytest.raises(DataError, match=r"no indiana_projections\.csv here says which images are frontal"):
        open_iu_xray(root, views="frontal")
    projections(root)
    found = studies_of(root, views="frontal")
    assert names(found["CXR1"]) == ["CXR1_1_IM-0001-4001.png"]
    assert names(studies_of(root, max_images=2)["CXR1000"]) == [
        "CXR1000_IM-0003-1001.png",
        "CXR1000_IM-0003-2001.png",
    ]


def test_half_a_download(tmp_path: Path) -> None:
    for number, root in enumerate((open_i(tmp_path / "xml"), kaggle(tmp_path / "kaggle"))):
        next(root.rglob("*1000_IM-0003-2001*.png")).unlink()
        refused = studies_of(root)["CXR1000"]
        assert refused == Rejected("CXR1000", "missing image: 1000_IM-0003-2001"), number


def test_broken_reports_are_set_aside(tmp_path: Path) -> None:
    root = open_i(tmp_path / "xml")
    (root / "ecgen-radiology/2.xml").write_text("<eCitation>")
    refused = studies_of(root)["2"]
    assert isinstance(refused, Rejected)
    assert refused.reason.startswith("broken row: ")
    root = kaggle(tmp_path / "kaggle")
    with (root / "indiana_reports.csv").open("a") as file:
        file.write("seven,,,,,,Clear.,Normal.\n")
    assert isinstance(studies_of(root)[f"{root}/indiana_reports.csv:7"], Rejected)


def test_wrong_roots(tmp_path: Path) -> None:
    (tmp_path / "NLMCXR_reports.tgz").touch()
    with pytest.raises(
        MissingFileError, match=r"annotation\.json \(R2Gen\); still packed are NLMCXR_reports\.tgz"
    ):
        open_iu_xray(tmp_path)
    root = open_i(tmp_path / "xml")
    shutil.rmtree(root / "NLMCXR_png")
    (root / "NLMCXR_png.tgz").touch()
    with pytest.raises(DataError, match=r"found none; still packed are NLMCXR_png\.tgz"):
        open_iu_xray(root)
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/indiana_reports.csv").write_text("uid,text\n")
    with pytest.raises(DataError, match=r"expected a column 'findings', found uid, text"):
        open_iu_xray(tmp_path / "csv")


def test_the_nine_real_radiographs(iu_xray: Path, tmp_path: Path) -> None:
    """Kaggle's layout around the real files, of which studies with all their images are kept."""
    real = [json.loads(line) for line in (iu_xray / "paired_9.jsonl").read_text().splitlines()]
    (tmp_path / "indiana_projections.csv").symlink_to(iu_xray / "indiana_projections.csv")
    with (tmp_path / "indiana_reports.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, KAGGLE, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({row["uid"]: {**row, "MeSH": ";".join(row["mesh"])} for row in real}.values())
    account = prepare_source(
        "iu-xray", tmp_path, tmp_path / "m.jsonl", workers=1, images=iu_xray / "images", sections="any"
    )
    studies = read_manifest(tmp_path / "m.jsonl").studies
    assert account.found == 7
    assert {study.study_id for study in studies} == {"CXR1002", "CXR1003", "CXR3"}
    assert {study.views for study in studies} == {("frontal", "lateral"), ("frontal",)}
    assert account.rejected == {"missing image": 4}
