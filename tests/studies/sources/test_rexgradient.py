"""ReXGradient-160K, on a small copy of its layout: paths from metadata/, composite ids, views unsaid."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study, read_manifest
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.rexgradient import open_rexgradient
from radflow.studies.study import Rejected


def entry(
    patient: str, study: int, date: Any, views: list[str | None], **said: Any
) -> tuple[str, dict[str, Any]]:
    accession, uid = f"GRDNA{study}", f"1.2.826.{study}"
    name = f"../deid_png/{patient}/{accession}/studies/{uid}/series/1.3/instances/1.4.{study}"
    fields = {
        "id": f"p{patient}_a{accession}_s{uid}",
        "PatientID": patient,
        "AccessionNumber": accession,
        "StudyInstanceUid": uid,
        "PatientSex": "F",
        "PatientAge": "007Y",
        "StudyDate": date,
        "StudyDescription": "XR CHEST 2 VIEWS",
        "Indication": "Cough.",
        "Comparison": "None.",
        "Findings": f"Lungs of study {study}\nare clear.",
        "Impression": f"No acute disease {study}.",
        "ImagePath": [f"{name}.{number}.png" for number in range(len(views))],
        "ImageViewPosition": views,
    }
    return fields["id"], fields | said


STUDIES = dict(
    [
        entry("GRDNP1", 3, 20200301, ["LATERAL", "POSTERO_ANTERIOR"]),
        entry("GRDNP1", 1, 20180101, ["AP"], Findings=None),
        entry("GRDNP1", 2, 20200301, ["PA"]),
        entry("GRDNP2", 4, None, ["N/A", None], Indication="None"),
    ]
)
THIRD, FIRST, SECOND, FOURTH = STUDIES


def write(root: Path, studies: dict[str, Any] = STUDIES, *, split: str = "train", ending: str = "") -> Path:
    folder = root / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}{ending or '_metadata_view_position.json'}").write_text(json.dumps(studies, indent=2))
    for number, fields in enumerate(studies.values()):
        for name in fields["ImagePath"]:
            path = folder / name
            path.resolve().parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(path.resolve())
    return root


def studies_of(root: Path, **options: Any) -> dict[str | int, Study | Rejected]:
    source = open_rexgradient(root, **options)
    found = list(source.studies)
    assert source.total == len(found)
    return {item.study_id if isinstance(item, Study) else item.study: item for item in found}


def test_a_study(tmp_path: Path) -> None:
    study = studies_of(write(tmp_path))[THIRD]
    assert isinstance(study, Study)
    base = tmp_path / "deid_png/GRDNP1/GRDNA3/studies/1.2.826.3/series/1.3/instances"
    assert study.images == (base / "1.4.3.1.png", base / "1.4.3.0.png")
    assert study.views == ("frontal", "lateral")
    assert (study.patient_id, study.indication, study.comparison) == ("GRDNP1", "Cough.", "None.")
    assert study.reference.findings == "Lungs of study 3 are clear."


def test_the_prior_study_is_of_an_earlier_day(tmp_path: Path) -> None:
    found = studies_of(write(tmp_path), sections="any")
    prior = {str(n): (s.prior_study, s.prior_report) for n, s in found.items() if isinstance(s, Study)}
    before = (FIRST, "No acute disease 1.")  # of two studies on one day neither is before the other
    assert prior == {THIRD: before, FIRST: (None, None), SECOND: before, FOURTH: (None, None)}


def test_views_that_say_nothing_and_no_indication(tmp_path: Path) -> None:
    root = write(tmp_path)
    study = studies_of(root)[FOURTH]
    assert isinstance(study, Study)
    assert (study.views, len(study.images), study.indication) == ((), 2, None)
    refused = studies_of(root, views="frontal")[FOURTH]
    assert refused == Rejected(FOURTH, "no frontal image: it has 2 unknown")


def test_all_three_splits_and_the_account(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, dict([entry("GRDNP3", 5, 20200101, ["PA"])]), split="valid")
    write(tmp_path, dict([entry("GRDNP1", 6, 20210101, ["PA"]), entry("GRDNP4", 7, 1, ["PA"])]), split="test")
    account = prepare_source("rexgradient", tmp_path, tmp_path / "m.jsonl", workers=1)
    assert account.splits == {"train": 3, "validate": 1, "test": 1}
    assert account.rejected == {"report with impression only": 1, "patient in two splits": 1}
    assert [study.split for study in read_manifest(tmp_path / "m.jsonl").studies].count("train") == 3


def test_a_split_that_is_missing_is_noted(tmp_path: Path) -> None:
    assert any("validate, test" in note for note in open_rexgradient(write(tmp_path)).notes)


@pytest.mark.parametrize("dump", [json.dumps, str])
def test_the_table_where_there_are_no_views(tmp_path: Path, dump: Any) -> None:
    write(tmp_path)
    (tmp_path / "metadata/train_metadata_view_position.json").unlink()
    with (tmp_path / "metadata/train_metadata.csv").open("w", newline="") as file:
        rows = [
            {name: dump(v) if isinstance(v, list) else v for name, v in row.items()}
            for row in STUDIES.values()
        ]
        for line in rows:
            line.pop("ImageViewPosition")
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = studies_of(tmp_path)
    study = found[THIRD]
    assert isinstance(study, Study)
    assert [path.name for path in study.images] == ["1.4.3.0.png", "1.4.3.1.png"]
    assert (study.views, study.prior_study) == ((), FIRST)


def test_a_table_without_paths_says_which_file_has_them(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "metadata/train_metadata_view_position.json").unlink()
    (tmp_path / "metadata/train_metadata.csv").write_text("id,Findings,Impression\n")
    with pytest.raises(DataError, match=r"'ImagePath'.*fetch train_metadata_view_position\.json"):
        open_rexgradient(tmp_path)


def test_half_a_download(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "metadata/train_metadata_view_position.json"
    path.write_text(path.read_text()[:-200])
    with pytest.raises(DataError, match=r"position\.json: expected JSON, at byte .*after 3 records"):
        open_rexgradient(tmp_path)


def test_bad_entries_are_set_aside(tmp_path: Path) -> None:
    root = write(tmp_path)
    bad = {
        "a": 7,
        **dict([entry("GRDNP8", 8, 1, ["PA"], PatientID=None)]),
        **dict([entry("GRDNP9", 9, 1, ["PA"], ImagePath=["../deid_png/../../../etc/passwd"])]),
        **dict([entry("GRDNP10", 10, 1, [], ImagePath="['a.png', 3]")]),
        **dict([entry("GRDNP11", 11, 1, [])]),
    }
    (root / "metadata/test_metadata_view_position.json").write_text(json.dumps(bad))
    reasons = [
        item.reason.partition(":")[0] for item in studies_of(root).values() if isinstance(item, Rejected)
    ]
    assert reasons == [
        "report with impression only",
        "broken row",
        "no patient",
        "image outside the data set",
        "broken list",
        "no image",
    ]


def test_a_wrong_root_and_images_still_packed(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(MissingFileError, match=r"train_metadata_view_position\.json; there are README\.md"):
        open_rexgradient(tmp_path)
    write(tmp_path)
    (tmp_path / "deid_png").rename(tmp_path / "away")
    (tmp_path / "deid_png.part00").touch()
    with pytest.raises(MissingFileError, match=r"still packed are deid_png\.part00"):
        open_rexgradient(tmp_path)
