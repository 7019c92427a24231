"""The carotid phantom as a data set: deterministic, resumable, split by patient."""

from __future__ import annotations

from pathlib import Path

import pytest

from radflow.errors import DataError, NotWritableError
from radflow.reports import parse_report
from radflow.studies import read_manifest
from radflow.studies.preparing.account import PrepareAccount
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources import carotid_phantom

SIZE = 64


def prepare_carotid_phantom(folder: Path, **options: float) -> PrepareAccount:
    return prepare_source("carotid-phantom", None, folder / "studies.jsonl", **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carotid")
    prepare_carotid_phantom(folder, count=12, seed=3, image_size=SIZE, workers=1)
    return folder


def test_the_manifest_is_whole(prepared: Path) -> None:
    manifest = read_manifest(prepared / "studies.jsonl", max_bad_share=0.0)
    assert len(manifest.studies) == 12
    assert len({study.patient_id for study in manifest.studies}) < 12
    for study in manifest.studies:
        assert study.drawn
        assert study.modality == "carotid-us"
        assert study.views == ("right", "left")
        assert [path.stem.rpartition("-")[2] for path in study.images] == ["right", "left"]
        assert study.truth["right"]
        assert study.critical is not None
        assert study.critical_by
        assert parse_report(study.reference.text) == study.reference
    assert {path.name for path in prepared.iterdir()} == {"studies.jsonl", "images"}


def test_processes_and_a_larger_count_change_nothing(prepared: Path, tmp_path: Path) -> None:
    prepare_carotid_phantom(tmp_path, count=20, seed=3, image_size=SIZE, workers=2)
    more, fewer = contents(tmp_path), contents(prepared)
    lines = more.pop("studies.jsonl").splitlines()
    assert lines[:12] == fewer.pop("studies.jsonl").splitlines()
    assert {name: more[name] for name in fewer} == fewer


def test_another_seed_gives_other_studies(prepared: Path, tmp_path: Path) -> None:
    prepare_carotid_phantom(tmp_path, count=12, seed=4, image_size=SIZE, workers=1)
    assert contents(tmp_path)["studies.jsonl"] != contents(prepared)["studies.jsonl"]


def test_it_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = carotid_phantom.draw_carotid_study

    def counted(index: int, **settings: float) -> object:
        drawn.append(index)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return draw(index, **settings)

    monkeypatch.setattr(carotid_phantom, "draw_carotid_study", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare_carotid_phantom(tmp_path, count=6, image_size=SIZE, workers=1)
    assert not (tmp_path / "studies.jsonl").exists()
    broken = tmp_path / "images" / "carotid-000001-left.png"
    broken.write_bytes(broken.read_bytes()[:100])
    prepare_carotid_phantom(tmp_path, count=6, image_size=SIZE, workers=1)
    assert drawn == [0, 1, 2, 3, 1, 3, 4, 5]
    prepare_carotid_phantom(tmp_path, count=6, image_size=SIZE, workers=1)
    assert len(drawn) == 8
    # Other settings: the pictures there are of another data set, so all are drawn again.
    prepare_carotid_phantom(tmp_path, count=6, image_size=SIZE, seed=1, workers=1)
    assert drawn[8:] == [0, 1, 2, 3, 4, 5]
    prepare_carotid_phantom(tmp_path, count=6, image_size=SIZE, seed=1, difficulty=1, workers=1)
    assert drawn[14:] == [0, 1, 2, 3, 4, 5]


def test_bad_requests_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="count: expected at least 1, got 0"):
        prepare_carotid_phantom(tmp_path, count=0)
    with pytest.raises(DataError, match="image_size: expected at least 64, got 8"):
        prepare_carotid_phantom(tmp_path, count=1, image_size=8)
    with pytest.raises(DataError, match="difficulty: expected a number from 0 to 1, got 2"):
        prepare_carotid_phantom(tmp_path, count=1, difficulty=2)
    with pytest.raises(DataError, match="workers: expected at least 1, got -1"):
        prepare_carotid_phantom(tmp_path, count=1, workers=-1)
    (tmp_path / "file").touch()
    with pytest.raises(NotWritableError, match="cannot make this folder"):
        prepare_carotid_phantom(tmp_path / "file", count=1)
