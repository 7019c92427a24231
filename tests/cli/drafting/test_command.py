from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.cli.drafting import find_model
from radflow.config import Recipe, dump_recipe, make_recipe
from radflow.errors import MissingFileError


def model(folder: Path, name: str = "config.json") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    return folder


def test_a_run_stands_for_its_last_model_with_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(dump_recipe(make_recipe({"policy": {"max_new_tokens": 9}})))
    sft = model(tmp_path / "sft" / "model")
    assert find_model(tmp_path)[0] == sft
    rft = model(tmp_path / "rft" / "model", "adapter_config.json")
    folder, recipe = find_model(tmp_path)
    assert (folder, recipe.policy.max_new_tokens) == (rft, 9)
    assert find_model(sft)[1].policy.max_new_tokens == 9


def test_a_model_of_no_run_gets_the_defaults(tmp_path: Path) -> None:
    folder = model(tmp_path / "a" / "b" / "c")
    assert find_model(folder) == (folder, Recipe(policy={"model": str(folder)}))


def test_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="expected a run's folder, or a model folder"):
        find_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the image file is empty"), (b"hello", "expected a PNG or JPEG image"), (None, "no such image")],
)
def test_a_picture_that_cannot_be_read_is_one_line(
    content: bytes | None, message: str, command: Callable, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    status, out, err = command("draft", "x.png", "--model", "nowhere")
    assert (status, out) == (1, "")
    assert err.startswith("error: x.png: ")
    assert message in err
    assert err.count("\n") == 1
