import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from radflow.config import Recipe
from radflow.errors import DataError, InUseError, NotWritableError
from radflow.files import read_json, read_jsonl, write_atomic, write_json
from radflow.folders import replaced_folder, settle_folder
from radflow.workspace import Hold, Workspace


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


# ---- one writer --------------------------------------------------------------------------------------------

_HOLDS = """
import sys
from pathlib import Path
from radflow.config import Recipe
from radflow.workspace import Hold, Workspace
workspace = Workspace(Path(sys.argv[1]), Recipe())
print("holding", flush=True)
sys.stdin.read()
"""


def holder(root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLDS, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def test_a_second_writer_is_told_who_the_first_is_and_touches_nothing(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with holder(root) as first:
        before = {p.name: p.stat().st_mtime_ns for p in root.iterdir()}
        with pytest.raises(InUseError) as refused:
            Workspace(root, Recipe(seed=7))
        assert f"{root}: another process is writing here (host " in str(refused.value)
        assert f"process {first.pid}, since 20" in str(refused.value)
        assert str(refused.value).count("\n") == 0
        assert {p.name: p.stat().st_mtime_ns for p in root.iterdir()} == before
        first.kill()
        first.wait()
    Workspace(root, Recipe(seed=7))
    assert "seed = 7" in (root / "recipe.toml").read_text()


def test_a_writer_that_ends_leaves_no_lock_and_one_process_is_one_writer(tmp_path: Path) -> None:
    first, second = (Workspace(tmp_path / "run", Recipe()) for _ in range(2))
    assert first.path(".radflow.lock").exists()
    del first, second
    assert not (tmp_path / "run" / ".radflow.lock").exists()
    with Hold(tmp_path / "a.jsonl", folder=False):
        assert (tmp_path / ".a.jsonl.lock").read_text().startswith("host ")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_without_locks_the_work_goes_on_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("radflow.workspace.try_lock", lambda handle: None)
    Workspace(tmp_path / "run", Recipe())
    assert "this file system has no locks" in caplog.text


# ---- damage ------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(workspace: Workspace) -> Workspace:
    workspace.begin("sft", "a")
    for name in ("model/w", "checkpoint/c", "x.jsonl"):
        write_atomic(workspace.path("sft", name), name)
    write_atomic(workspace.path("report.html"), "page")
    workspace.finish("sft", "a", 1.0, also=("report.html", "never.written"))
    return workspace


@pytest.mark.parametrize("name", ["sft/model/w", "sft/x.jsonl", "report.html"])
@pytest.mark.parametrize("content", [None, "", "other"])
def test_a_stage_with_a_damaged_file_is_done_again(
    finished: Workspace, name: str, content: str | None
) -> None:
    path = finished.path(name)
    path.unlink() if content is None else path.write_text(content)
    why = "missing" if content is None else "damaged"
    assert not finished.done("sft", "a")
    assert finished.damage("sft") == {name: why}
    finished.begin("sft", "a")
    assert not path.exists(), "so that the stage makes it again"
    assert finished.path("sft", "checkpoint", "c").exists()
    assert f"sft: {name} is {why}; the stage is done again" in finished.path("run.log").read_text()


def test_what_a_finished_stage_needs_no_more_may_go(finished: Workspace) -> None:
    shutil.rmtree(finished.path("sft", "checkpoint"))
    assert finished.done("sft", "a")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inputs": "a"}', "\xff"])
def test_a_damaged_marker_is_no_marker(finished: Workspace, content: str) -> None:
    finished.path("stages", "sft.json").write_text(content, encoding="latin-1")
    assert not finished.done("sft", "a")
    assert finished.outcome("sft") is None
    assert finished.seconds() == {}
    finished.begin("sft", "a")
    assert finished.path("sft", "model", "w").exists()


def test_a_damaged_log_of_steps_loses_its_damaged_lines_only(workspace: Workspace) -> None:
    workspace.log("sft", 1, {})
    with workspace.path("metrics.jsonl").open("ab") as file:
        file.write(b'\xff\n12\n{"step": 1}\n')
    workspace.forget_metrics("rft")
    assert [row["step"] for row in read_jsonl(workspace.path("metrics.jsonl"))] == [1]
