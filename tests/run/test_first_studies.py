"""What a dry run reads of each kind of data set."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from radflow.config import make_recipe
from radflow.run import first_studies as module
from radflow.run.first_studies import first_studies


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda count: monkeypatch.setattr(module, "READ", count)


def pictures(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i}.png" for i in range(count)]
    for i, path in enumerate(paths):
        Image.new("L", (64, 64), i).save(path)
    return paths


def manifest(folder: Path, splits: Sequence[str]) -> Path:
    rows = [
        {
            "study_id": f"s{i}",
            "patient_id": f"p{i}",
            "split": split,
            "images": [path.name],
            "report": "Clear.",
        }
        for i, (split, path) in enumerate(zip(splits, pictures(folder, len(splits)), strict=True))
    ]
    path = folder / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_head_of_a_manifest_is_read_and_all_of_it_counted(tmp_path: Path, reads: Callable) -> None:
    reads(3)
    path = manifest(tmp_path / "data", ["train"] * 5 + ["validate"] + ["test"] * 2)
    (tmp_path / "data" / "1.png").write_bytes(b"")
    with path.open("a") as file:
        file.write("no JSON\n")
    recipe = make_recipe({"data": {"source": "manifest", "manifest": str(path)}})
    read, counts = first_studies(recipe, tmp_path)
    assert [study.study_id for study in read.studies] == ["s0", "s2"]
    assert "1.png" in read.rejected[0].reason
    assert counts == {"train": 5, "validate": 1, "test": 2}


def test_of_a_table_only_the_head_is_looked_at(tmp_path: Path, reads: Callable) -> None:
    reads(2)
    pictures(tmp_path / "ward", 2)  # those of the other rows are not there, and nobody asks
    rows = [f"a{i},{i}.png,Findings: Clear. Impression: Normal.,train" for i in range(9)]
    (tmp_path / "ward" / "t.csv").write_text("\n".join(["study_id,image,report,split", *rows]))
    recipe = make_recipe({"data": {"source": "table", "root": str(tmp_path / "ward")}})
    read, counts = first_studies(recipe, tmp_path)
    assert (len(read.studies), read.rejected) == (2, ())
    assert counts.total() == 0  # a table does not say how many rows it has
    reads(64)
    read, counts = first_studies(recipe, tmp_path)
    assert (len(read.studies), len(read.rejected)) == (2, 7)
    assert counts == {"train": 2}


def test_drawn_studies_are_scaled_to_the_recipe(tmp_path: Path, reads: Callable) -> None:
    reads(4)
    recipe = make_recipe({"data": {"count": 400, "image_size": 64}})
    read, counts = first_studies(recipe, tmp_path)
    assert len(read.studies) == 4
    assert counts.total() == 400
    assert {path.parent for study in read.studies for path in study.images} == {tmp_path / "drawn" / "images"}
