import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.drafting.batch import draft_path
from radflow.drafting.model import Drafter
from radflow.evaluation.files.predictions import read_predictions
from radflow.reports.draft import NOTICE, Draft
from radflow.studies import Study, write_manifest


@pytest.fixture
def manifest(studies: list[Study], tmp_path: Path) -> Path:
    write_manifest(tmp_path / "m.jsonl", studies)
    return tmp_path / "m.jsonl"


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of studies that the model was asked about, in order."""
    asked: list[str] = []
    write = Drafter.__call__

    def watched(self: Drafter, studies: Sequence[Study]) -> list[Draft]:
        asked.extend(study.study_id for study in studies)
        return write(self, studies)

    monkeypatch.setattr(Drafter, "__call__", watched)
    return asked


def test_every_study_gets_a_file_and_a_line_that_score_reads(
    command: Callable, run: Path, manifest: Path, tmp_path: Path, studies: list[Study]
) -> None:
    status, out, err = command(
        "draft", "--manifest", manifest, "--model", run, "--out", "o", "--format", "html", "--format", "text"
    )
    assert (status, err) == (0, "")
    assert "3 studies drafted; wrote" in out
    for study in studies:
        made = json.loads((tmp_path / "o" / "drafts" / f"{study.study_id}.json").read_text())
        assert (made["study_id"], made["notice"], made["indication"]) == (
            study.study_id,
            NOTICE,
            study.indication,
        )
        assert NOTICE in (tmp_path / "o" / "drafts" / f"{study.study_id}.html").read_text()
        assert NOTICE in (tmp_path / "o" / "drafts" / f"{study.study_id}.txt").read_text()
    read = list(read_predictions(tmp_path / "o" / "drafts.jsonl"))
    assert [(p.study_id, p.reference, p.patient_id) for p in read] == [
        (s.study_id, s.reference.canonical, s.patient_id) for s in studies
    ]


def test_a_batch_that_was_stopped_drafts_the_rest_only(
    command: Callable,
    run: Path,
    manifest: Path,
    tmp_path: Path,
    drafted: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("draft", "--manifest", manifest, "--model", run, "--out")
    command(*arguments, "whole")
    assert drafted == ["s0", "s1", "s2"]
    drafted.clear()
    write = Drafter.__call__

    def stopped(self: Drafter, studies: Sequence[Study]) -> list[Draft]:
        if studies[0].study_id == "s2":
            raise KeyboardInterrupt
        return write(self, studies)

    with monkeypatch.context() as within:
        within.setattr(Drafter, "__call__", stopped)
        assert command(*arguments, "o")[0] == 130
    assert drafted == ["s0", "s1"]
    assert not (tmp_path / "o" / "drafts.jsonl").exists()
    drafted.clear()
    status, out, _ = command(*arguments, "o")
    assert (status, drafted) == (0, ["s2"])
    assert "1 studies drafted, 2 were there already" in out
    assert (tmp_path / "o" / "drafts.jsonl").read_text() == (tmp_path / "whole" / "drafts.jsonl").read_text()


def test_what_changed_is_drafted_again(
    command: Callable, run: Path, manifest: Path, tmp_path: Path, drafted: list[str]
) -> None:
    arguments = ["draft", "--manifest", manifest, "--model", run, "--out", "o"]
    command(*arguments)
    lines = manifest.read_text().splitlines()
    changed = json.loads(lines[1]) | {"indication": "Pain."}
    manifest.write_text("\n".join([lines[0], json.dumps(changed), lines[2]]))
    (tmp_path / "o" / "drafts" / "s2.json").write_text('{"inputs": ')  # half of a file
    drafted.clear()
    command(*arguments)
    assert drafted == ["s1", "s2"]
    drafted.clear()
    command(*arguments, "--uncertain", "0.25")
    assert drafted == ["s0", "s1", "s2"]
    drafted.clear()
    (run / "sft" / "model" / "model.safetensors").touch()
    command(*arguments, "--uncertain", "0.25")
    assert drafted == ["s0", "s1", "s2"]


def test_bad_studies_are_set_aside_with_a_line_each(
    command: Callable, run: Path, manifest: Path, tmp_path: Path
) -> None:
    lines = manifest.read_text().splitlines()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    bad = json.loads(lines[0]) | {"study_id": "bad", "images": ["broken.png"]}
    long = json.loads(lines[0]) | {"study_id": "long", "indication": "Cough. " * 4_000}
    manifest.write_text("\n".join([json.dumps(bad), "{", *lines, json.dumps(long)]))
    status, out, _ = command("draft", "--manifest", manifest, "--model", run, "--out", "o")
    assert status == 0
    assert "3 studies drafted, 3 set aside" in out
    rejected = [json.loads(line) for line in (tmp_path / "o" / "rejected.jsonl").read_text().splitlines()]
    assert {row["study"] for row in rejected} == {2, "bad", "long"}
    assert all(row["reason"] in out for row in rejected)
    assert [p.study_id for p in read_predictions(tmp_path / "o" / "drafts.jsonl")] == ["s0", "s1", "s2"]
    manifest.write_text("\n".join(lines))
    command("draft", "--manifest", manifest, "--model", run, "--out", "o")
    assert not (tmp_path / "o" / "rejected.jsonl").exists()


def test_a_batch_of_nothing_but_bad_studies_fails(command: Callable, run: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "one").mkdir(parents=True)
    status, _, err = command("draft", "--studies", "in", "--model", run, "--out", "o")
    assert status == 1
    assert "not one of 1 studies could be drafted" in err
    assert "found none" in err


def test_a_folder_of_studies(command: Callable, run: Path, tmp_path: Path, studies: list[Study]) -> None:
    for study in studies:
        (tmp_path / "in" / study.study_id).mkdir(parents=True)
        for image in study.images:
            shutil.copy(image, tmp_path / "in" / study.study_id)
    (tmp_path / "in" / "readme.txt").write_text("hello")
    status, out, err = command("draft", "--studies", "in", "--model", run, "--out", "o")
    assert (status, "3 studies drafted" in out) == (0, True)
    assert "passed over, in no study's folder: readme.txt" in err
    assert len(list(read_predictions(tmp_path / "o" / "drafts.jsonl"))) == 3


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=2, unique=True))
def test_any_two_ids_have_files_of_their_own_in_the_folder(ids: list[str]) -> None:
    first, second = (draft_path(Path("o"), one.encode("utf-8", "replace").decode()) for one in ids)
    assert first.parent == Path("o/drafts") and first.name not in (".json", "..json")
    assert len(first.name.encode()) < 255
    if ids[0].encode("utf-8", "replace") != ids[1].encode("utf-8", "replace"):
        assert first != second
