import json
from pathlib import Path

import pytest

from radflow.config import Recipe
from radflow.errors import DataError, NotWritableError
from radflow.files import read_json, read_jsonl, replaced_folder, settle_folder, write_atomic, write_json
from radflow.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "run", Recipe())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with replaced_folder(folder) as fresh:
        (fresh / "w").write_text("old")
    with pytest.raises(RuntimeError), replaced_folder(folder) as fresh:
        (fresh / "w").write_text("new")
        raise RuntimeError
    assert (folder / "w").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_kill_between_two_renames_is_undone(tmp_path: Path) -> None:
    old = tmp_path / ".model.old"
    old.mkdir()
    (old / "w").write_text("old")
    assert (settle_folder(tmp_path / "model") / "w").read_text() == "old"


def test_a_stage_is_done_only_with_the_same_inputs(workspace: Workspace) -> None:
    workspace.begin("sft", "a")
    assert not workspace.done("sft", "a")
    workspace.finish("sft", "a", 1.5)
    assert workspace.done("sft", "a")
    assert not workspace.done("sft", "b")
    assert workspace.seconds() == {"sft": 1.5}


def test_half_finished_work_stays_for_the_same_inputs_only(workspace: Workspace) -> None:
    workspace.begin("sft", "a")
    write_atomic(workspace.path("sft", "checkpoint"), "half")
    workspace.begin("sft", "a")
    assert workspace.path("sft", "checkpoint").exists()
    workspace.begin("sft", "b")
    assert not workspace.path("sft").exists()


def test_starting_a_stage_anew_unmarks_it(workspace: Workspace) -> None:
    workspace.begin("sft", "a")
    workspace.finish("sft", "a", 1.0)
    workspace.begin("sft", "b")
    assert not workspace.done("sft", "a")


def test_metrics_are_forgotten_past_a_step_and_a_torn_line_is_dropped(workspace: Workspace) -> None:
    for step in (1, 2, 3):
        workspace.log("sft", step, {"loss": 1.0 / step})
    workspace.log("rft", 9, {"loss": float("nan")})
    with workspace.path("metrics.jsonl").open("a") as file:
        file.write('{"stage": "sft", "st')
    workspace.forget_metrics("sft", after=2)
    rows = list(read_jsonl(workspace.path("metrics.jsonl")))
    assert [(r["stage"], r["step"]) for r in rows] == [("sft", 1), ("sft", 2), ("rft", 9)]
    assert rows[-1]["loss"] is None


def test_seeds_differ_by_purpose_and_run(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other", Recipe(seed=1))
    seeds = {workspace.seed("a"), workspace.seed("b"), workspace.seed("a", 1), other.seed("a")}
    assert len(seeds) == 4


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({}) + "\n{broken\n")
    with pytest.raises(DataError, match=r"x\.jsonl:2: expected a JSON object"):
        list(read_jsonl(path))
    with pytest.raises(DataError, match=r"x\.jsonl: expected JSON"):
        read_json(path)


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(NotWritableError, match="cannot write the run's folder"):
        Workspace(blocked / "run", Recipe())


def test_processes_after_the_first_write_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "run", Recipe(), writes=False)
    workspace.say("hello")
    workspace.log("sft", 1, {})
    workspace.begin("sft", "a")
    assert not (tmp_path / "run").exists()


def test_a_kill_while_a_stage_is_cleared_leaves_no_mark_of_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.begin("sft", "a")
    workspace.finish("sft", "a", 1.0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("radflow.workspace.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        workspace.begin("sft", "b")
    assert not workspace.done("sft", "a")


def test_what_a_kill_cut_off_in_writing_is_swept_away(tmp_path: Path) -> None:
    root = tmp_path / "run"
    for name in ("sft/.model.0a1b2c3d.radflow", "sft/.mine", "sft/checkpoint", "features"):
        (root / name).mkdir(parents=True)
    for name in ("sft/.summary.json.0a1b2c3d.radflow", "features/.k.features.01234567.radflow", ".gitkeep"):
        (root / name).write_text("{")
    Workspace(root, Recipe())
    left = {str(p.relative_to(root)) for p in root.rglob("*")}
    assert left == {
        "sft",
        "sft/.mine",
        "sft/checkpoint",
        "features",
        ".gitkeep",
        ".radflow.lock",
        "recipe.toml",
    }


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "way").write_text("")
    with pytest.raises(NotWritableError, match=r"way/x\.json: cannot be written \(File exists\)"):
        write_json(tmp_path / "way" / "x.json", {})


def test_a_file_that_is_replaced_keeps_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "studies.jsonl"
    write_atomic(path, "new")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    write_atomic(path, "newer")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("newer", 0o600)
