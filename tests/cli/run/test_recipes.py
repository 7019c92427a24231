"""``radflow init``, and what a run says that was given no recipe or a mistyped option."""

from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.cli.run.recipes import SHIPPED
from radflow.config import load_recipe

Command = Callable[..., tuple[int, str, str]]
NAMES = {path.stem for path in SHIPPED.glob("*.toml")}


def test_init_lists_and_explains_every_recipe(command: Command) -> None:
    status, out, _ = command("init")
    assert status == 0
    assert all(f"\n{name} " in f"\n{out}" for name in NAMES)
    assert "The whole workflow in minutes on two cores" in out
    assert "data iu-xray; model tiny; judge rules; SFT 16 epochs" in out
    assert "radflow prepare" not in out  # the lines of a comment that are commands


@pytest.mark.parametrize("place", ["own.toml", "recipes/own.toml", "a/b/own.toml"])
def test_init_copies_a_recipe_with_its_comments_and_the_same_meaning(
    place: str, command: Command, tmp_path: Path
) -> None:
    assert command("init", "own-table", "--out", place)[0] == 0
    copy = (tmp_path / place).read_text()
    assert copy.startswith("# Your own studies: a table of reports")
    assert load_recipe(tmp_path / place).data.root == tmp_path / "data" / "ward"


def test_init_never_overwrites(command: Command, tmp_path: Path) -> None:
    (tmp_path / "paper-carotid.toml").write_text("mine")
    status, _, err = command("init", "paper-carotid")
    assert (status, err) == (
        1,
        "error: paper-carotid.toml: there already, and left as it is; give another place with --out\n",
    )
    assert (tmp_path / "paper-carotid.toml").read_text() == "mine"
    (tmp_path / "folder").mkdir()
    assert command("init", "paper-carotid", "--out", "folder")[0] == 0
    assert (tmp_path / "folder" / "paper-carotid.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("init", "papr-carotid"), "papr-carotid: no such recipe; expected one of carotid, carotid-easy"),
        (("init", "papr-carotid"), "Did you mean 'paper-carotid'?"),
        (("init", "--out", "x.toml"), "--out: expected a recipe to copy too"),
        (("run",), "expected a recipe: a TOML file, or one of carotid, carotid-easy"),
        (("sft",), "`radflow init` says what each is, `radflow run quickstart` starts the small one"),
        (("run", "."), "expected a recipe (TOML), got a folder"),
        (("run", "quickstart", "--dry-rn", "--seed", 3), "got --seed. Did you mean '--dry-run'?"),
        (("run", "quickstart", "rft.steps", 3), "got 'rft.steps'. Did you mean '--rft.steps'?"),
        (("quickstart", "--rft.inner-steps", 1), "--rft.inner-steps: expected inner_steps"),
        (("quickstart", "--rft.inner-steps", 1), "raise --rft.inner-steps"),
        (("quickstart", "--data.source", "manifest"), "expected --data.manifest to name a studies.jsonl"),
        (("prepare",), "expected a source among carotid-phantom, open-i"),
        (("prepare", "table", "--root", "."), "found none; name it with --table"),
        (("prepare", "carotid-phantom", "--image-size", 8), "--image-size: expected at least 64, got 8"),
        (("prepare", "carotid-phantom", "--difficulty", 2), "--difficulty: expected a number from 0 to 1"),
        (("score", "r.csv", "--judge", "openai:m"), "Set --judge.allow-remote-text true"),
        (("score", "r.csv", "--judge", "openai:m", "--judge.votez", 3), "Did you mean '--judge.votes'?"),
        (
            ("agree", "r.csv", "--judge", "rules", "--judge", "openai:m", "--second.votez", 3),
            "--second.votez: no such option. Did you mean 'votes'?",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_named_as_it_was_typed(
    arguments: tuple[object, ...], message: str, command: Command, tmp_path: Path
) -> None:
    row = "Findings: Clear. Impression: Normal."
    if arguments[0] in ("score", "agree"):
        (tmp_path / "r.csv").write_text(f"study_id,report,reference\n1,{row},{row}\n")
    status, out, err = command(*arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_data_of_a_shipped_recipe_are_looked_for_here(command: Command, tmp_path: Path) -> None:
    _, _, err = command("run", "mimic-cxr", "--policy.model", "tiny")
    assert err.startswith(f"error: {tmp_path}/data/mimic-cxr/studies.jsonl: no such manifest")
