"""Parquet and Arrow as `datasets` lays them out: shards, splits, embedded pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radflow.errors import DataError, MissingFileError
from radflow.tables import arrow, open_table

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ROWS = pa.table(
    {
        "id": [1.0, 2.0],
        "image": pa.array([{"bytes": b"x", "path": None}, {"bytes": None, "path": "a.png"}], PICTURE),
        "more": pa.array([[{"bytes": b"y", "path": "b.png"}], None], pa.list_(PICTURE)),
        "report": ["Clear.", "Edema."],
    }
)


def save_arrow(folder: Path, table: pa.Table, shards: int = 1) -> None:
    """What ``datasets.save_to_disk`` leaves: streams, and a state that names them."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{shards:05}.arrow" for number in range(shards)]
    for name in names:
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")


def test_a_folder_of_shards_is_one_table_and_their_names_say_the_split(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        pq.write_table(ROWS, tmp_path / "data" / f"{name}.parquet")
    table = open_table(tmp_path)
    assert table.columns == ("id", "image", "more", "report", "split")
    rows = list(table.rows())
    assert [row.fields["split"] for row in rows] == ["train"] * 4 + ["validation"] * 2
    assert rows[3].where == f"{tmp_path}/data/train-00001-of-00002.parquet: row 2"
    assert rows[0].fields["image"] == {"bytes": b"x", "path": None}


@pytest.mark.parametrize("batch", [1, 8])
def test_what_save_to_disk_writes(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "_PICTURES", batch)
    save_arrow(tmp_path / "d" / "train", ROWS, shards=2)
    save_arrow(tmp_path / "d" / "test", ROWS)
    (tmp_path / "d" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    rows = list(open_table(tmp_path / "d").rows())
    assert [(row.fields["id"], row.fields["split"]) for row in rows] == [
        (1.0, "train"),
        (2.0, "train"),
    ] * 2 + [(1.0, "test"), (2.0, "test")]
    assert rows[0].fields["more"] == [{"bytes": b"y", "path": "b.png"}]
    alone = open_table(tmp_path / "d" / "test")
    assert alone.columns == ("id", "image", "more", "report")
    (tmp_path / "d" / "train" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(MissingFileError, match=r"00001-of-00002\.arrow: no such file, but .*state\.json"):
        open_table(tmp_path / "d")


def test_embedded_pictures_are_not_read_where_nobody_asks(tmp_path: Path) -> None:
    pq.write_table(ROWS.append_column("raw", pa.array([b"z", b"z"])), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet", pictures=False)
    assert table.columns == ("id", "report")
    assert [row.fields for row in table.rows()] == [
        {"id": 1.0, "report": "Clear."},
        {"id": 2.0, "report": "Edema."},
    ]


def test_an_arrow_file_with_an_index(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_file(file, ROWS.schema) as writer:
        writer.write_table(ROWS)
    assert [row.fields["id"] for row in open_table(tmp_path / "t.arrow").rows()] == [1.0, 2.0]


def test_shards_that_do_not_belong_together(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "a.parquet")
    pq.write_table(ROWS.drop_columns(["report"]), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: expected the columns of .*a\.parquet .*name one"):
        open_table(tmp_path)


def test_damage_behind_the_header_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(ROWS, path)
    content = bytearray(path.read_bytes())
    content[8:120] = b"\xff" * 112
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: expected a Parquet file, got"):
        list(open_table(path).rows())


def test_a_folder_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="found no table in it"):
        open_table(tmp_path)
    (tmp_path / "dataset_dict.json").write_text("[]")
    with pytest.raises(DataError, match=r"dataset_dict\.json: expected JSON of .*, got \[\]"):
        open_table(tmp_path)
