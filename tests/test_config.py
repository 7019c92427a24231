from pathlib import Path

import pytest
from pydantic import ValidationError

from radflow.config import Recipe, dump_recipe, load_recipe, make_recipe
from radflow.errors import MissingFileError, RecipeError

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_shipped_recipe_parses_and_survives_a_round_trip(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    copy = tmp_path / "recipe.toml"
    copy.write_text(dump_recipe(recipe))
    again = load_recipe(copy)
    assert again == recipe.model_copy(update={"data": again.data})
    assert again.data.source == recipe.data.source


def test_there_are_shipped_recipes() -> None:
    assert {"quickstart", "iu-xray"} <= {path.stem for path in RECIPES}


def test_a_misspelt_key_gets_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[rft]\nlerning_rate = 1e-3\n")
    with pytest.raises(
        RecipeError, match=r"r\.toml: unknown key 'rft\.lerning_rate'\. Did you mean 'learning_rate'"
    ):
        load_recipe(path)


def test_a_misspelt_section_gets_a_suggestion() -> None:
    with pytest.raises(RecipeError, match=r"unknown key 'rtf'\. Did you mean 'rft'"):
        make_recipe({"rtf": {}})


def test_overrides_reach_nested_values(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("seed = 1\n")
    recipe = load_recipe(path, {"policy.tiny.patch_size": "8", "rft.steps": "3", "seed": "7"})
    assert (recipe.policy.tiny.patch_size, recipe.rft.steps, recipe.seed) == (8, 3, 7)


def test_what_an_override_did_is_blamed_on_it_and_what_the_file_says_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[rft]\nsteps = 0\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(path, {"rft.inner-stepz": "3"})
    assert str(error.value).split("; ") == [
        f"{path}: rft.steps: expected greater than or equal to 1, got 0",
        "--rft.inner-stepz: no such option. Did you mean '--rft.inner-steps'?",
    ]
    path.write_text('[data]\nsource = "manifest"\n')
    with pytest.raises(RecipeError, match=r"r\.toml: expected data\.manifest"):
        load_recipe(path, {"data.modality": "chest-xray"})
    path.write_text("")
    with pytest.raises(RecipeError, match=r"^--data\.source: expected data\.manifest"):
        load_recipe(path, {"data.source": "manifest", "seed": "3"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rft-steps", "3", "--rft-steps: no such option. Did you mean '--rft.steps'?"),
        ("learning-rate", "3", "Did you mean '--sft.learning-rate' or '--rft.learning-rate' or '--"),
        ("rft", "3", "--rft: a section; expected one of its keys, --rft.KEY."),
        (
            "judge",
            "rules",
            "--judge: a section; expected one of its keys, --judge.KEY. Did you mean '--reward.j",
        ),
        ("rft.inner-steps", "1", "--rft.inner-steps: expected inner_steps of at least 2, got 1"),
        ("rft.steps", "many", "--rft.steps: expected a valid integer, got 'many'"),
        ("data.splits.hold-out", "tset", "--data.splits.hold-out: expected 'train'"),
    ],
)
def test_an_override_that_cannot_be_is_named_as_it_was_typed(
    key: str, value: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    path.write_text("")
    with pytest.raises(RecipeError) as error:
        load_recipe(path, {key: value})
    assert message in str(error.value)
    assert "r.toml" not in str(error.value)


def test_a_value_of_the_wrong_type_is_named() -> None:
    with pytest.raises(RecipeError, match=r"rft\.steps.*got 'many'"):
        make_recipe({"rft": {"steps": "many"}})


def test_one_inner_step_is_refused_and_says_why() -> None:
    with pytest.raises(RecipeError, match=r"ratio is exactly 1, no clip ever binds and CAPO is GRPO"):
        make_recipe({"rft": {"inner_steps": 1}})


def test_paths_in_a_recipe_are_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[data]\nsource = "manifest"\nmanifest = "studies.jsonl"\n')
    assert load_recipe(path).data.manifest == tmp_path / "studies.jsonl"


def test_a_manifest_source_needs_a_manifest() -> None:
    with pytest.raises(RecipeError, match=r"expected data\.manifest"):
        make_recipe({"data": {"source": "manifest"}})


def test_the_root_of_a_data_set_is_relative_to_the_recipe_and_its_table_to_the_root(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[data]\nsource = "table"\nroot = "ward"\ntable = "t.csv"\nreports = "reports.zip"\n')
    data = load_recipe(path).data
    assert (data.root, data.table, data.reports) == (
        tmp_path / "ward",
        Path("t.csv"),
        tmp_path / "reports.zip",
    )


def test_columns_and_splits_of_a_table() -> None:
    data = {"source": "table", "root": "ward", "columns": {"images": "a, b"}, "splits": {"holdout": "test"}}
    recipe = make_recipe({"data": data})
    assert recipe.data.columns.images == ("a", "b")
    with pytest.raises(RecipeError, match=r"unknown key 'data\.columns\.imges'\. Did you mean 'images'"):
        make_recipe({"data": data | {"columns": {"imges": "a"}}})
    with pytest.raises(RecipeError, match=r"data\.splits\.holdout: .*'train', 'validate' or 'test'"):
        make_recipe({"data": data | {"splits": {"holdout": "tset"}}})


def test_exploration_needs_a_weight() -> None:
    with pytest.raises(RecipeError, match="positive weight"):
        make_recipe({"exploration": {"bleu2": 0, "bertscore": 0, "domain": 0}})


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such recipe"):
        load_recipe(tmp_path / "none.toml")
    path = tmp_path / "r.toml"
    path.write_text("seed = = 1")
    with pytest.raises(RecipeError, match="expected TOML"):
        load_recipe(path)


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Recipe().seed = 3  # ty: ignore[invalid-assignment]


def test_sizes_of_the_tiny_policy_must_fit() -> None:
    with pytest.raises(
        RecipeError, match=r"policy\.tiny.*expected vision_width to be a multiple of 5, got 96"
    ):
        make_recipe({"policy": {"tiny": {"heads": 5}}})
    with pytest.raises(RecipeError, match="expected image_size to be a multiple of 16, got 100"):
        make_recipe({"policy": {"tiny": {"image_size": 100}}})


def test_a_model_folder_means_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "qwen").mkdir(parents=True)
    (tmp_path / "r.toml").write_text('[policy]\nmodel = "models/qwen"\n')
    here = str(tmp_path / "models" / "qwen")
    monkeypatch.chdir("/")
    assert load_recipe(tmp_path / "r.toml").policy.model == here
    monkeypatch.chdir(tmp_path / "models")
    assert load_recipe(tmp_path / "r.toml", {"policy.model": "qwen"}).policy.model == here
    assert load_recipe(tmp_path / "r.toml", {"policy.model": "org/name"}).policy.model == "org/name"


def test_a_knob_that_is_gone_is_passed_over_where_it_changed_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[rft]\nstale_updates = 0\nsteps = 3\n")
    assert load_recipe(tmp_path / "r.toml").rft.steps == 3
    (tmp_path / "r.toml").write_text("[rft]\nstale_updates = 1\n")
    with pytest.raises(RecipeError, match=r"rft.stale_updates = 1 is gone; .* Take the line out"):
        load_recipe(tmp_path / "r.toml")
