"""Open-i as a data set: on a small archive made here, and with the real radiographs."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, NotWritableError
from radflow.studies import Study, assign_split, read_manifest
from radflow.studies.preparing.account import PrepareAccount
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources import iu_xray as source
from radflow.studies.sources import openi
from radflow.studies.sources.openi import OpenIReport, open_i_reports
from radflow.studies.study import Rejected

SIZE = 64


def prepare_open_i(folder: Path, **options: Any) -> PrepareAccount:
    return prepare_source("open-i", None, folder / "studies.jsonl", **options)


def report_xml(number: int, findings: str, impression: str, tags: list[str]) -> bytes:
    majors = "".join(f"<major>{tag}</major>" for tag in tags)
    return f"""<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{number}"/><Abstract>
      <AbstractText Label="COMPARISON"/><AbstractText Label="INDICATION">  Chest
      pain </AbstractText><AbstractText Label="FINDINGS">{findings}</AbstractText>
      <AbstractText Label="IMPRESSION">{impression}</AbstractText></Abstract>
      <MeSH>{majors}<automatic>x</automatic></MeSH>
      <parentImage id="CXR{number}_IM-0003-1001"/><parentImage id="CXR{number}_IM-0003-2001"/>
      </eCitation>""".encode()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with six reports: 3030 and 38 are R2Gen test studies, 9000x in no split."""
    folder = tmp_path / "package"
    folder.mkdir()
    contents = {
        90003: report_xml(90003, "Clear &amp; dry.", "Normal.", ["normal"]),
        3030: report_xml(3030, "Big heart.", "Cardiomegaly.", ["Cardiomegaly", "No Such Tag/left"]),
        38: report_xml(38, "Clear.", "Normal.", ["normal"]),
        90000: report_xml(90000, "", "Normal.", ["normal"]),
        90001: report_xml(90001, "Clear.", "", ["normal"]),
        90002: report_xml(90002, "", "", []),
    }
    with tarfile.open(folder / "NLMCXR_reports.tgz", "w:gz") as tar:
        for number, content in contents.items():
            member = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    header = "imageid,View Position,Patient Orientation\nCXR38_IM-0003-1001,LL,\nCXR38_IM-0003-2001,PA,\n"
    (folder / "nlmcxr_dicom_metadata.csv.gz").write_bytes(gzip.compress(header.encode()))
    monkeypatch.setattr(openi, "package_data", lambda: folder)
    return folder


def save_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(path)


def test_reports_come_by_number_with_their_sections(archive: Path) -> None:
    reports = list(open_i_reports())
    assert [report.number for report in reports] == [38, 3030, 90000, 90001, 90002, 90003]
    assert reports[5] == OpenIReport(
        number=90003,
        findings="Clear & dry.",
        impression="Normal.",
        indication="Chest pain",
        comparison=None,
        mesh=("normal",),
        image_ids=("CXR90003_IM-0003-1001", "CXR90003_IM-0003-2001"),
    )
    assert [report.sections for report in reports[2:5]] == [
        "impression only",
        "findings only",
        "neither section",
    ]


def test_drawn_studies(archive: Path, tmp_path: Path) -> None:
    account = prepare_open_i(tmp_path / "out", image_size=SIZE, workers=1)
    assert (account.found, account.kept, account.drawn, account.real) == (6, 3, 3, 0)
    assert account.rejected == {
        "report with impression only": 1,
        "report with findings only": 1,
        "report with neither section": 1,
    }
    assert account.unsupported == {"No Such Tag/left": 1}
    manifest = read_manifest(tmp_path / "out" / "studies.jsonl", max_bad_share=0.0)
    assert [(study.study_id, study.split, study.drawn) for study in manifest.studies] == [
        ("CXR38", "test", True),
        ("CXR3030", "test", True),
        ("CXR90003", assign_split("CXR90003", 0), True),
    ]
    assert manifest.studies[1].truth == {"mesh": ["Cardiomegaly", "No Such Tag/left"]}
    rejected = (tmp_path / "out" / "studies.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["study"] for line in rejected] == ["CXR90000", "CXR90001", "CXR90002"]


def test_drawing_again_keeps_pictures_and_the_count_of_tags(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_open_i(tmp_path, image_size=SIZE, workers=1)
    monkeypatch.setattr(source, "draw_chest", lambda *_, **__: pytest.fail("drawn again"))
    assert prepare_open_i(tmp_path, image_size=SIZE, workers=1) == first
    (tmp_path / "images" / "CXR38.png").write_bytes(b"")
    with pytest.raises(pytest.fail.Exception, match="drawn again"):
        prepare_open_i(tmp_path, image_size=SIZE, workers=1)


def test_real_images_frontal_only(archive: Path, tmp_path: Path) -> None:
    images = tmp_path / "NLMCXR_png"
    for name in ("CXR38_IM-0003-1001", "CXR38_IM-0003-2001", "CXR3030_IM-0003-1001", "CXR90003_IM-0003-1001"):
        save_image(images / f"{name}.png")
    (images / "CXR3030_IM-0003-1001.png").write_bytes(b"")
    account = prepare_open_i(tmp_path / "out", images=images)
    assert (account.kept, account.drawn, account.real) == (2, 0, 2)
    assert account.rejected["broken image"] == 1
    assert "indiana_projections.csv" in account.notes[0]
    studies = read_manifest(tmp_path / "out" / "studies.jsonl", max_bad_share=0.0).studies
    # The header of CXR38's first image says lateral.
    assert [study.images[0].stem for study in studies] == ["CXR38_IM-0003-2001", "CXR90003_IM-0003-1001"]
    assert not any(study.drawn for study in studies)
    assert not (tmp_path / "out" / "images").exists()


def test_studies_without_a_frontal_image_are_counted(archive: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "in" / "38_IM-0003-1001.dcm.png")
    with pytest.raises(DataError, match="open-i: expected studies that can be used, kept none of 6"):
        prepare_open_i(tmp_path / "out", images=tmp_path / "in")
    save_image(tmp_path / "in" / "3030_IM-0003-1001.dcm.png")
    account = prepare_open_i(tmp_path / "out", images=tmp_path / "in")
    assert account.rejected["only lateral images"] == 1
    assert account.rejected[f"no image in {tmp_path / 'in'}"] == 1


def test_the_limit_keeps_the_same_studies(archive: Path, tmp_path: Path) -> None:
    account = prepare_open_i(tmp_path, count=2, image_size=SIZE, workers=1)
    assert account.kept == 2
    assert account.rejected["over the limit of 2"] == 1
    studies: list[Study | Rejected] = list(source.open_iu_xray(store=tmp_path / "drawn").studies)
    fewer, more = (
        {item.study_id for item in source.limited(studies, count, seed=5) if isinstance(item, Study)}
        for count in (1, 2)
    )
    assert len(fewer) == 1
    assert fewer < more


def test_bad_places_are_one_line(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="count: expected at least 1, got 0"):
        prepare_open_i(tmp_path, count=0)
    (tmp_path / "file").touch()
    with pytest.raises(NotWritableError, match="cannot make this folder"):
        prepare_open_i(tmp_path / "file" / "out")
    whole = (archive / "NLMCXR_reports.tgz").read_bytes()
    (archive / "NLMCXR_reports.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="install torchxrayvision again"):
        list(open_i_reports())


def test_the_nine_real_radiographs(iu_xray: Path, tmp_path: Path) -> None:
    account = prepare_open_i(tmp_path, images=iu_xray / "images")
    assert account.notes == ()
    assert account.rejected["only lateral images"] == 2
    studies = read_manifest(account.manifest, max_bad_share=0.0).studies
    assert [(study.study_id, study.images[0].name) for study in studies] == [
        ("CXR103", "103_IM-0023-1001.dcm.png"),
        ("CXR1000", "1000_IM-0003-1001.dcm.png"),
        ("CXR1003", "1003_IM-0005-2002.dcm.png"),
    ]
