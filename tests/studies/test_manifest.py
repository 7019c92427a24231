"""Manifests: what was written reads back, and each kind of bad study is set aside with its reason."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError, NotWritableError
from radflow.reports import Report, parse_report, render_report
from radflow.studies import Study, read_manifest, write_manifest
from radflow.studies.places import allowed

Make = Callable[..., Study]


@pytest.fixture
def manifest(tmp_path: Path, make_study: Make) -> Path:
    """A good manifest of ten studies, s0 to s9."""
    path = tmp_path / "studies.jsonl"
    write_manifest(path, [make_study(f"s{number}") for number in range(10)])
    return path


def change(path: Path, line: int, **fields: Any) -> None:
    """Change fields of one line (from 1); ``...`` removes a field."""
    lines = path.read_text().splitlines()
    row = json.loads(lines[line - 1]) | fields
    lines[line - 1] = json.dumps({name: value for name, value in row.items() if value is not ...})
    path.write_text("\n".join(lines) + "\n")


def reason(path: Path, **options: Any) -> str:
    """The one reason for which exactly one of ten studies is set aside."""
    read = read_manifest(path, max_bad_share=0.1, **options)
    assert len(read.studies) == 9
    assert len(read.rejected) == 1
    return read.rejected[0].reason


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"study_id": "\ud800"}, r":4: expected text, got half a surrogate pair"),
        ({"truth": {"\udfff": 1}}, "half a surrogate pair"),
        ({"images": ["a\0.png"]}, ":4: image .*no file has a NUL"),
        ({"images": ["x" * 5000]}, ":4: image .*too long"),
        ({"images": ["../../elsewhere.png"]}, r":4: image outside .* with data\.root"),
        ({"images": ["/etc/passwd"]}, r":4: image outside .*'/etc/passwd'"),
    ],
)
def test_a_line_that_cannot_be_meant(manifest: Path, fields: dict[str, Any], words: str) -> None:
    change(manifest, 4, **fields)
    allow = allowed(manifest, (), knob="data.root")
    assert re.search(words, reason(manifest, allow=allow))
    read_manifest(manifest, max_bad_share=0.1, allow=allow, rejected=manifest.with_name("rejected.jsonl"))
    assert "reason" in manifest.with_name("rejected.jsonl").read_text()


def test_a_manifest_that_would_never_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "studies.jsonl")
    with pytest.raises(DataError, match="got a FIFO"):
        read_manifest(tmp_path / "studies.jsonl")


def test_images_looked_at_by_processes_give_the_same(tmp_path: Path, make_study: Make) -> None:
    path = tmp_path / "studies.jsonl"
    studies = [make_study(f"s{number}") for number in range(20)]
    write_manifest(path, studies)
    studies[7].images[0].write_bytes(b"")
    told: list[tuple[int, int]] = []
    read = read_manifest(path, workers=2, progress=lambda *steps: told.append(steps), max_bad_share=0.5)
    assert read == read_manifest(path, max_bad_share=0.5)
    assert told[-1] == (20, 20)


# ---- round trip ------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
filled = text.filter(lambda value: bool(value.strip()))
optional = st.none() | text
# Plain values only: type-checked constructors draw from `random`, which hypothesis forbids in strategies.
fields = st.fixed_dictionaries(
    {
        "study_id": filled,
        "patient_id": filled,
        "reference": filled | st.tuples(filled, filled) | st.tuples(filled, filled, filled | st.none()),
        "indication": optional,
        "comparison": optional,
        "split": st.sampled_from(["train", "validate", "test"]),
        "modality": st.sampled_from(["chest-xray", "carotid-us"]),
        "critical": st.none() | st.booleans(),
        "critical_by": optional,
        "drawn": st.booleans(),
        "views": st.sampled_from([(), ("right", "left")]),
        "truth": st.dictionaries(text, st.integers() | st.lists(text) | st.booleans(), max_size=3),
    }
)


def make_report(parts: str | tuple[str | None, ...]) -> Report:
    """A report from a text, from two sections, or from two sections with a text that says more."""
    if isinstance(parts, str):
        return parse_report(parts)
    findings, impression, *longer = parts
    text = longer[0] if longer and longer[0] is not None else render_report(findings, impression)
    return Report(text=text, findings=findings, impression=impression)


@settings(deadline=None)
@given(
    st.lists(fields, min_size=1, max_size=4, unique_by=(lambda f: f["study_id"], lambda f: f["patient_id"]))
)
def test_round_trip(rows: list[dict[str, Any]]) -> None:
    images = (Path("/pictures/a.png"), Path("/b.png"))
    written = [
        Study(**(row | {"images": images, "reference": make_report(row["reference"])})) for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "studies.jsonl"
        write_manifest(path, written)
        read = read_manifest(path, check_images=False)
    assert list(read.studies) == written
    assert read.rejected == ()


def test_a_moved_folder_still_reads(manifest: Path, tmp_path: Path) -> None:
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    read = read_manifest(moved / manifest.name)
    assert len(read.studies) == 10
    assert read.studies[0].images == (moved / "images" / "s0.png",)
    moved.rename(tmp_path)


def test_images_elsewhere_are_found_again(tmp_path: Path, make_study: Make) -> None:
    path = tmp_path / "deep" / "down" / "studies.jsonl"
    write_manifest(path, [make_study("s")])
    assert json.loads(path.read_text())["images"] == ["../../images/s.png"]
    assert read_manifest(path).studies[0].images == (tmp_path / "images" / "s.png",)


def test_reports_are_stored_by_section_or_whole(tmp_path: Path, make_study: Make) -> None:
    path = tmp_path / "studies.jsonl"
    reports = {
        "canonical": parse_report("Findings: Clear. Impression: Normal."),
        "more": parse_report("HISTORY: Cough.\nFINDINGS: Clear.\nIMPRESSION: Normal."),
        "headless": parse_report("Clear lungs."),
    }
    write_manifest(path, [make_study(name, reference=report) for name, report in reports.items()])
    rows = {row["study_id"]: row for row in map(json.loads, path.read_text().splitlines())}
    stored = {name: {"report", "findings", "impression"} & row.keys() for name, row in rows.items()}
    assert stored == {
        "canonical": {"findings", "impression"},
        "more": {"report", "findings", "impression"},
        "headless": {"report"},
    }
    assert [study.reference for study in read_manifest(path).studies] == list(reports.values())


def test_a_report_text_is_parsed(manifest: Path) -> None:
    change(manifest, 1, findings=..., impression=..., report="FINDINGS: Old.\nIMPRESSION: New.")
    assert read_manifest(manifest).studies[0].reference.impression == "New."


def test_splits_are_at_hand(tmp_path: Path, make_study: Make) -> None:
    path = tmp_path / "studies.jsonl"
    write_manifest(path, [make_study("a"), make_study("b", split="test")])
    assert [study.study_id for study in read_manifest(path).split("test")] == ["b"]


# ---- bad studies -----------------------------------------------------------------------------------------


def test_broken_json_names_the_line(manifest: Path) -> None:
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([*lines[:3], lines[3][:50], *lines[4:]]))
    read = read_manifest(manifest, max_bad_share=0.1)
    assert [study.study_id for study in read.studies] == [f"s{n}" for n in range(10) if n != 3]
    assert read.rejected[0].study == 4
    assert read.rejected[0].reason.startswith(f"{manifest}:4: expected one JSON object, got broken JSON")


@pytest.mark.parametrize("line", [b"[1]", b'"text"', b"\xff\xfe", b"[" * 100_000, b"null"])
def test_any_bytes_spoil_one_study_only(manifest: Path, line: bytes) -> None:
    lines = manifest.read_bytes().splitlines()
    manifest.write_bytes(b"\n".join([*lines[:9], line]))
    assert f"{manifest}:10: expected one JSON object" in reason(manifest)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"patient_id": ...}, "'patient_id' is missing"),
        ({"images": []}, "'images' is missing or empty"),
        ({"images": "a.png"}, "'images' should be a list of strings"),
        ({"images": [3]}, "'images' should be a list of strings"),
        ({"split": "val"}, "'split' should be one of train, validate, test, got 'val'"),
        ({"modality": "ct"}, "'modality' should be one of chest-xray, carotid-us"),
        ({"study_id": 17}, "'study_id' should be a string, got 17"),
        ({"critical": "yes"}, "'critical' should be true or false"),
        ({"truth": []}, "'truth' should be an object"),
        ({"views": ["a", "b"]}, "1 images but 2 views"),
        ({"impresion": "x"}, "unknown field 'impresion'. Did you mean 'impression'?"),
        ({"findings": ..., "impression": ...}, "the report is empty"),
        ({"findings": " ", "impression": "\n"}, "the report is empty"),
        ({"findings": ..., "impression": ..., "report": ""}, "the report is empty"),
        ({"study_id": "s0"}, "study 's0' was already on line 1"),
        ({"patient_id": "patient of s0", "split": "test"}, "is in test here, in train on line 1"),
    ],
)
def test_bad_fields(manifest: Path, fields: dict[str, Any], expected: str) -> None:
    change(manifest, 5, **fields)
    said = reason(manifest)
    assert said.startswith(f"{manifest}:5: ")
    assert expected in said


def test_one_section_is_enough(manifest: Path) -> None:
    change(manifest, 1, findings="")
    reference = read_manifest(manifest).studies[0].reference
    assert (reference.findings, reference.impression) == (None, "Normal.")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda image: image.unlink(), "no such image file"),
        (lambda image: image.write_bytes(b""), "0 bytes"),
        (lambda image: image.write_bytes(image.read_bytes()[:-20]), "truncated"),
        (lambda image: image.write_text("no picture"), "expected a PNG or JPEG"),
    ],
)
def test_bad_images(manifest: Path, damage: Callable[[Path], Any], expected: str) -> None:
    damage(manifest.parent / "images" / "s7.png")
    said = reason(manifest)
    assert said.startswith(f"{manifest}:8: study 's7': ")
    assert expected in said
    assert len(read_manifest(manifest, check_images=False).studies) == 10


def test_a_rejected_study_does_not_bind_its_patient(manifest: Path) -> None:
    change(manifest, 1, modality="ct", split="test", patient_id="p")
    change(manifest, 2, patient_id="p")
    assert "modality" in reason(manifest)


def test_too_many_bad_studies_stop(manifest: Path) -> None:
    for line in range(1, 6):
        change(manifest, line, modality="ct")
    with pytest.raises(DataError) as caught:
        read_manifest(manifest, rejected=manifest.parent / "rejected.jsonl")
    said = str(caught.value)
    assert "5 of 10 studies are bad, more than the allowed 5%" in said
    assert [f":{line}: " in said for line in (1, 2, 3, 4)] == [True, True, True, False]
    assert "and 2 more" in said
    assert len((manifest.parent / "rejected.jsonl").read_text().splitlines()) == 5
    assert len(read_manifest(manifest, max_bad_share=0.5).studies) == 5


def test_rejected_studies_are_written_and_a_clean_reading_removes_them(manifest: Path) -> None:
    good = manifest.read_text()
    change(manifest, 5, modality="ct")
    listed = manifest.parent / "rejected.jsonl"
    said = reason(manifest, rejected=listed)
    assert json.loads(listed.read_text()) == {"study": "s4", "reason": said}
    manifest.write_text(good)
    read_manifest(manifest, rejected=listed)
    assert not listed.exists()


def test_no_manifest_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.jsonl: no such manifest"):
        read_manifest(tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match="got an empty file"):
        read_manifest(tmp_path / "empty.jsonl")


def test_an_unwritable_place_is_one_line(tmp_path: Path, make_study: Make) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotWritableError, match="the manifest cannot be written"):
        write_manifest(tmp_path / "file" / "studies.jsonl", [make_study()])


def test_a_failed_writing_leaves_the_old_manifest(manifest: Path, make_study: Make) -> None:
    before = manifest.read_bytes()
    broken = dataclasses.replace(make_study("new"), truth={"psv": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_manifest(manifest, [make_study("fine"), broken])
    assert manifest.read_bytes() == before
    assert sorted(path.name for path in manifest.parent.iterdir()) == ["images", "studies.jsonl"]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.xlsx", "folder"])
def test_a_table_is_no_manifest(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=rf"{name}: expected a manifest .* radflow prepare table makes"):
        read_manifest(tmp_path / name)
