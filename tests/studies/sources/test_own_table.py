"""Your own table: the ways to say which column holds what, and what goes wrong in tables that people keep."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study, assign_split, read_manifest
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.own_table import map_columns, open_table
from radflow.studies.study import Rejected

REPORT = "FINDINGS:\nPlaque in the bulb.\n\nIMPRESSION:\nStenosis of 50 %."
ROWS: list[dict[str, Any]] = [
    {"exam": "e1", "person": "p1", "png": "a.png", "text": REPORT, "fold": "training"},
    {"exam": "e2", "person": "p1", "png": "sub/b.png", "text": "Normal.", "fold": "training"},
    {"exam": "e3", "person": "p2", "png": "c.png", "text": REPORT, "fold": "holdout"},
]
COLUMNS = {"study_id": "exam", "patient_id": "person", "images": "png", "report": "text", "split": "fold"}
SPLITS = {"holdout": "test"}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [",".join(rows[0])]
    lines += [",".join('"' + str(value).replace('"', '""') + '"' for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    "reports.csv": write_csv,
    "reports.jsonl": write_jsonl,
    "reports.parquet": write_parquet,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a", "sub/b", "c", "sub/d", "images/e")):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    return tmp_path


def studies_of(root: Path, rows: list[dict[str, Any]], **options: Any) -> list[Study | Rejected]:
    write_csv(root / "reports.csv", rows)
    return list(open_table(root, **options).studies)


def one(root: Path, row: dict[str, Any], **options: Any) -> Study:
    found = studies_of(root, [row], **options)
    assert len(found) == 1
    assert isinstance(found[0], Study), found[0]
    return found[0]


def names(study: Study, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in study.images]


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_studies_from_every_format(root: Path, name: str) -> None:
    WRITERS[name](root / name, ROWS)
    options = {"columns": COLUMNS, "splits": SPLITS, "modality": "carotid-us"}
    account = prepare_source("table", root, root / "out/m.jsonl", workers=1, **options)
    studies = read_manifest(root / "out/m.jsonl").studies
    assert [(s.study_id, s.patient_id, s.split, names(s, root)) for s in studies] == [
        ("e1", "p1", "train", ["a.png"]),
        ("e2", "p1", "train", ["sub/b.png"]),
        ("e3", "p2", "test", ["c.png"]),
    ]
    assert {study.modality for study in studies} == {"carotid-us"}
    assert studies[0].reference.findings == "Plaque in the bulb."
    assert studies[1].reference.text == "Normal."
    assert account.sections == {"findings and impression": 2, "no sections": 1}
    assert "study_id from 'exam'" in account.notes[0]


def test_the_usual_names_need_no_map(root: Path) -> None:
    row = {
        "Study_ID": "s1",
        "subject_id": 7,
        "Image": "a.png",
        "Findings": "Clear.",
        "Impression": "Normal.",
        "Clinical_History": "Cough.",
        "Comparison": "None available.",
        "split": "valid",
        "ViewPosition": "PA",
    }
    study = one(root, row)
    assert (study.patient_id, study.split, study.views) == ("7", "validate", ("frontal",))
    assert (study.indication, study.comparison) == ("Cough.", "None available.")
    assert study.reference.text == "Findings: Clear. Impression: Normal."


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("a.png; c.png", ["a.png", "c.png"]),
        ("['a.png', 'c.png']", ["a.png", "c.png"]),
        ('["a.png", "c.png"]', ["a.png", "c.png"]),
        ("sub", ["sub/b.png", "sub/d.png"]),
        ("sub/*.png", ["sub/b.png", "sub/d.png"]),
        ("sub\\b.png", ["sub/b.png"]),
        ("e.png", ["images/e.png"]),
        ("a.jpg", ["a.png"]),
    ],
)
def test_the_ways_to_name_images(root: Path, cell: str, found: list[str]) -> None:
    assert names(one(root, {"id": "s1", "images": cell, "report": "Clear."}), root) == found


def test_another_separator_and_absolute_paths(root: Path) -> None:
    row = {"id": "s1", "images": f"{root}/a.png|c.png", "report": "Clear."}
    assert names(one(root, row, separator="|"), root) == ["a.png", "c.png"]


def test_several_columns_of_images_may_say_the_view(root: Path) -> None:
    row = {"id": "s1", "lateral_png": "a.png", "frontal_png": "c.png", "report": "Clear."}
    columns = {"images": ["lateral_png", "frontal_png"]}
    study = one(root, row, columns=columns)
    assert (names(study, root), study.views) == (["c.png", "a.png"], ("frontal", "lateral"))
    assert names(one(root, row, columns={"images": "lateral_png, frontal_png"}, views="lateral"), root) == [
        "a.png"
    ]
    empty = {**row, "lateral_png": ""}
    assert names(one(root, empty, columns=columns), root) == ["c.png"]


def test_one_row_an_image(root: Path) -> None:
    rows = [
        {"id": "s1", "image": "a.png", "report": "Clear.", "view": "LL"},
        {"id": "s1", "image": "c.png", "report": "Clear.", "view": "PA"},
        {"id": "s2", "image": "sub/b.png", "report": "Clear.", "view": ""},
    ]
    found = [item for item in studies_of(root, rows) if isinstance(item, Study)]
    assert [names(study, root) for study in found] == [["c.png", "a.png"], ["sub/b.png"]]
    rows[1]["report"] = "Something else."
    refused = studies_of(root, rows)[0]
    assert isinstance(refused, Rejected)
    assert refused.reason == f"rows of one study differ: {root}/reports.csv:2: in the column 'report'"


def test_rows_of_a_study_that_are_apart_are_said(root: Path) -> None:
    rows = [
        {"id": name, "image": image, "report": "Clear."} for name, image in (("s1", "a.png"), ("s2", "c.png"))
    ]
    write_csv(root / "reports.csv", [*rows, {"id": "s1", "image": "sub/b.png", "report": "Clear."}])
    account = prepare_source("table", root, root / "out/m.jsonl", workers=1)
    assert account.rejected == {"study id twice": 1}


def test_patients_are_placed_by_hash_where_no_column_says_the_split(root: Path) -> None:
    rows = [{"id": f"s{n}", "patient": f"p{n % 5}", "image": "a.png", "report": "Clear."} for n in range(10)]
    found = [item for item in studies_of(root, rows, seed=3) if isinstance(item, Study)]
    assert [study.split for study in found] == [assign_split(study.patient_id, 3) for study in found]
    assert any("placed by hash, 70 / 15 / 15" in note for note in open_table(root).notes)


def test_without_patients_a_note_says_so(root: Path) -> None:
    study = one(root, {"id": "s1", "image": "a.png", "report": "Clear."})
    assert study.patient_id == "s1"
    assert any("each study counts as one" in note for note in open_table(root).notes)


def test_sections_may_be_asked_for(root: Path) -> None:
    found = studies_of(root, ROWS, columns=COLUMNS, splits=SPLITS, sections="both")
    assert [isinstance(item, Study) for item in found] == [True, False, True]
    assert found[1] == Rejected("e2", "report with neither section")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": "../../etc/passwd"}, "image outside the data set: "),
        ({"image": "/etc/passwd"}, "image outside the data set: "),
        ({"image": ""}, "no image"),
        ({"image": "none*.png"}, "missing image: nothing matches"),
        ({"image": "['a.png', 3]"}, "broken list: "),
        ({"report": " "}, "empty report: "),
        ({"patient": ""}, "no patient: "),
        ({"split": "fold 3"}, "unknown split: 'fold 3'; say in data.splits"),
        ({"modality": "CR"}, "unknown modality: 'CR'"),
        ({"id": ""}, "no study id: "),
    ],
)
def test_bad_rows_are_set_aside_and_the_rest_goes_on(root: Path, change: dict[str, str], reason: str) -> None:
    good = {
        "id": "s1",
        "patient": "p1",
        "image": "a.png",
        "report": "Clear.",
        "split": "test",
        "modality": "chest-xray",
    }
    found = studies_of(root, [good | change, good | {"id": "s2"}], columns={"modality": "modality"})
    assert isinstance(found[0], Rejected)
    assert found[0].reason.startswith(reason)
    assert isinstance(found[1], Study)


def test_an_image_in_two_splits_and_a_patient_in_two(root: Path) -> None:
    rows = [
        {"id": "s1", "patient": "p1", "image": "a.png", "report": "Clear.", "split": "train"},
        {"id": "s2", "patient": "p2", "image": "a.png", "report": "Clear.", "split": "test"},
        {"id": "s3", "patient": "p1", "image": "c.png", "report": "Clear.", "split": "test"},
        {"id": "s4", "patient": "p4", "image": "sub/none.png", "report": "Clear.", "split": "test"},
    ]
    write_csv(root / "reports.csv", rows)
    account = prepare_source("table", root, root / "out/m.jsonl", workers=1)
    assert account.rejected == {"image in two splits": 1, "patient in two splits": 1, "missing image": 1}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"report": "reprot"},
            r"t\.csv:1: expected a column 'reprot' .* found id, png, report\. Did you mean 'report'",
        ),
        ({"reports": "report"}, r"data\.columns: expected .*, got 'reports'\. Did you mean 'report'"),
        ({}, r"t\.csv:1: say which column is data\.columns\.images; found id, png, report"),
    ],
)
def test_columns_that_are_not_there(columns: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        map_columns(Path("t.csv"), ["id", "png", "report"], columns)


def test_everything_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(
        DataError, match=r"data\.columns\.study_id, data\.columns\.images, data\.columns\.report"
    ):
        map_columns(Path("t.csv"), ["a", "b"], {})


def test_which_table(root: Path) -> None:
    with pytest.raises(
        MissingFileError, match=r"expected one table here, found none; name it with data\.table"
    ):
        open_table(root)
    write_csv(root / "one.csv", ROWS)
    write_csv(root / "two.csv", ROWS)
    with pytest.raises(MissingFileError, match=r"found one\.csv, two\.csv"):
        open_table(root)
    with pytest.raises(MissingFileError, match=r"tree\.csv: no such table; in .*there are a\.png"):
        open_table(root, table=Path("tree.csv"))
    assert open_table(root, table=Path("two.csv"), columns=COLUMNS)
    with pytest.raises(DataError, match="expected a folder as root"):
        open_table(root / "one.csv")


def test_images_in_a_folder_of_their_own(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    apart = tmp_path_factory.mktemp("apart")
    (root / "a.png").rename(apart / "x.png")
    row = {"id": "s1", "image": "x.png", "report": "Clear."}
    assert one(root, row, images=apart).images == (apart / "x.png",)
    with pytest.raises(MissingFileError, match="none: expected a folder of images"):
        open_table(root, images=apart / "none")


def test_a_root_with_dots_in_its_path(root: Path) -> None:
    write_csv(root / "reports.csv", [{"id": "s1", "image": "sub/*.png", "report": "Clear."}])
    account = prepare_source("table", root / "sub" / "..", root / "out/m.jsonl", workers=1)
    assert account.kept == 1
    again = {"workers": 1, "images": root / "images" / ".."}
    assert prepare_source("table", root / "sub" / "..", root / "out/n.jsonl", **again).kept == 1


def test_links_that_lead_nowhere_or_round_and_round(root: Path) -> None:
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "gone.png").symlink_to(root / "nothing.png")
    (root / "around").symlink_to(root)
    cells = {"s1": "loop.png", "s2": "gone.png", "s3": "around/around/a.png", "s4": "c.png"}
    write_csv(
        root / "reports.csv", [{"id": i, "image": name, "report": "Clear."} for i, name in cells.items()]
    )
    account = prepare_source("table", root, root / "out/m.jsonl", workers=1)
    assert (account.kept, sum(account.rejected.values())) == (2, 2)


def test_views_that_no_column_says(root: Path) -> None:
    write_csv(root / "reports.csv", ROWS)
    with pytest.raises(
        DataError, match=r"no column says which images are frontal; name it in data\.columns\.view"
    ):
        open_table(root, columns=COLUMNS, views="frontal")


# ---- tables that hold their pictures, and chats ------------------------------------------------------------


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) + np.uint8(number)).save(file, "PNG")
    return file.getvalue()


def embedded(*contents: bytes | None) -> list[dict[str, Any]]:
    return [{"bytes": content, "path": None} for content in contents]


def test_embedded_pictures_are_written_once_and_named_after_their_content(tmp_path: Path) -> None:
    rows = [
        {"image": embedded(png(0), png(1)), "report": "Clear.", "subject_id": 1.0},
        {"image": embedded(b"not a picture"), "report": "Clear.", "subject_id": 2.0},
        {"image": embedded(b""), "report": "Clear.", "subject_id": 3.0},
        {"image": None, "report": "Clear.", "subject_id": 4.0},
        {"image": embedded(None), "report": "Clear.", "subject_id": 5.0},
    ]
    write_parquet(tmp_path / "d.parquet", rows)
    account = prepare_source("table", tmp_path, tmp_path / "out/m.jsonl", workers=1)
    assert (account.kept, account.rejected) == (1, {"broken image": 2, "no image": 2})
    [study] = read_manifest(tmp_path / "out/m.jsonl").studies
    assert (study.study_id, study.patient_id) == ("d-1", "1")
    assert [path.read_bytes() for path in study.images] == [png(0), png(1)]
    assert {path.parent.parent for path in study.images} == {tmp_path / "out/images"}
    assert any("each row is one" in note for note in account.notes)
    rejected = [json.loads(line) for line in (tmp_path / "out/m.rejected.jsonl").read_text().splitlines()]
    assert [row["study"] for row in rejected] == ["d-2", "d-3", "d-4", "d-5"]
    before = study.images[0].stat().st_mtime_ns
    prepare_source("table", tmp_path, tmp_path / "out/m.jsonl", workers=1)
    assert study.images[0].stat().st_mtime_ns == before


def test_paths_in_image_columns_and_a_folder_of_shards(root: Path) -> None:
    (root / "data").mkdir()
    for split, name in (("train", "a.png"), ("test", "sub/b.png")):
        rows = [{"id": split, "image": {"bytes": None, "path": name}, "report": "Clear."}]
        write_parquet(root / "data" / f"{split}-00000-of-00001.parquet", rows)
    found = [item for item in open_table(root).studies if isinstance(item, Study)]
    assert [(study.split, names(study, root)) for study in found] == [
        ("test", ["sub/b.png"]),
        ("train", ["a.png"]),
    ]


def test_chats_of_training_frameworks(root: Path) -> None:
    asked = {"role": "user", "content": "<image>Report."}
    url = "data:image/png;base64," + base64.b64encode(png(3)).decode()
    chats = [
        {"messages": [asked, {"role": "assistant", "content": REPORT}], "images": ["a.png"]},
        {"messages": [asked], "images": ["c.png"]},
        {"messages": [asked, {"role": "assistant", "content": "Normal."}], "images": [url, "c.png"]},
    ]
    write_jsonl(root / "chat.jsonl", chats)
    first, second, third = open_table(root, store=root / "out").studies
    assert isinstance(first, Study)
    assert (first.study_id, first.reference.findings) == ("chat-1", "Plaque in the bulb.")
    assert second == Rejected("chat-2", f"empty report: {root}/chat.jsonl:2")
    assert isinstance(third, Study)
    assert third.images[0].read_bytes() == png(3)
    assert names(third, root)[1] == "c.png"


def test_what_was_odd_in_the_file_is_in_the_account(root: Path) -> None:
    text = "sep=;\n Study ID ; Image ; Report \n;;\n1;a.png;Größe\n"
    (root / "reports.csv").write_bytes(text.encode("cp1252"))
    account = prepare_source("table", root, root / "out/m.jsonl", workers=1)
    assert account.kept == 1
    assert account.notes[-2:] == (
        f"empty rows, passed over: 1 (first: {root}/reports.csv:3)",
        f"lines that are not UTF-8, read as cp1252: 1 (first: {root}/reports.csv:4)",
    )
