import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.cli import screens
from radflow.cli.overrides import pairs_of
from radflow.errors import RecipeError

COMMANDS = {
    "quickstart",
    "prepare",
    "run",
    "sft",
    "explore",
    "rft",
    "generate",
    "evaluate",
    "score",
    "compare",
    "label",
    "triage",
    "agree",
    "verdicts",
    "draft",
    "doctor",
}


def test_help_lists_every_command_without_importing_torch() -> None:
    code = (
        "import sys; from radflow.cli import app as cli\n"
        "try: cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'peft', 'accelerate'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f" {name} " in done.stdout for name in COMMANDS)


def test_python_dash_m_is_the_command_line(radflow: Callable) -> None:
    done = radflow("--version")
    assert (done.returncode, done.stdout.strip()) == (0, "0.1.0")


def test_overrides_in_both_spellings() -> None:
    assert pairs_of(("--rft.inner-steps", "3", "--out=a=b", "--seed", "-1")) == {
        "rft.inner_steps": "3",
        "out": "a=b",
        "seed": "-1",
    }


@pytest.mark.parametrize(
    ("tokens", "message"),
    [(("--rft.steps",), "--rft.steps: expected a value"), (("rft.steps", "3"), "got 'rft.steps'")],
)
def test_half_an_override_is_refused(tokens: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        pairs_of(tokens)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("run", "small.toml", "--rft.stepz", 3),
            "error: --rft.stepz: no such option. Did you mean '--rft.steps'?",
        ),
        (("run", "small.toml", "--rtf.steps", 3), "--rtf.steps: no such option. Did you mean '--rft.steps'?"),
        (("run", "small.toml", "--rft.steps", "many"), "got 'many'"),
        (("run", "small.toml", "--rft.inner_steps", 1), "the ratio is exactly 1, no clip ever binds"),
        (
            ("run", "small.toml", "--out", "way/run"),
            "way/run: cannot write the run's folder (Not a directory)",
        ),
        (("run", "small.toml", "--out", "way"), "way: cannot write the run's folder (File exists)"),
        (("run", "none.toml"), "none.toml: no such recipe"),
        (("run", "quickstrat"), "Did you mean 'quickstart'?"),
        (
            ("rft", "small.toml", "--out", "new"),
            "the stage 'exploration' is not done with this recipe; run it",
        ),
        (("generate", "small.toml", "--out", "new"), "the stage 'rft' is not done"),
        (
            ("run", "small.toml", "--data.source", "manifest", "--data.manifest", "none.jsonl"),
            "none.jsonl: no such manifest; `radflow prepare` writes one",
        ),
        (("prepare", "carotid-fantom"), "got 'carotid-fantom'. Did you mean 'carotid-phantom'?"),
        (("prepare", "carotid-phantom", "--images", "x"), "--images: carotid-phantom has no such option"),
        (
            ("prepare", "carotid-phantom", "--count", 8, "--out", "way/s.jsonl"),
            "way/images: cannot make this",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_on_standard_error(
    arguments: tuple[object, ...], message: str, command: Callable, recipe: Path
) -> None:
    (recipe.parent / "way").write_text("a file in the way")
    status, out, err = command(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_brackets_in_an_error_are_printed_as_they_are(command: Callable) -> None:
    status, _, err = command("run", "[bold]none.toml")
    assert status == 1
    assert err.startswith("error: [bold]none.toml: no such recipe")


def test_the_name_of_a_judge_is_printed_as_it_is() -> None:
    for console in (screens.screen, screens.errors):
        with console.capture() as printed:
            console.print("judge openai:m: 1 asked", markup=False)
        assert printed.get() == "judge openai:m: 1 asked\n"


def test_an_interrupt_says_how_to_go_on(
    command: Callable, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("radflow.run.pipeline.Pipeline.run", interrupted)
    status, _, err = command("run", recipe)
    assert status == 130
    assert "run the same command again" in err


LONG = "a" * 300 + ".csv"


@pytest.mark.parametrize(
    "arguments",
    [
        ("label", LONG),
        ("score", LONG),
        ("prepare", "table", "--root", LONG),
        ("run", LONG),
        ("run", "quickstart", "--data.source", "manifest", "--data.manifest", LONG),
        ("draft", LONG, "--model", "m"),
        ("compare", LONG, LONG),
    ],
)
def test_a_name_that_no_file_system_holds_is_one_line(command: Callable, arguments: tuple[str, ...]) -> None:
    status, _, err = command(*arguments)
    assert status == 1
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "name too long" in err.lower()
