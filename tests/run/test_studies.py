"""A recipe whose data lie on disk: its knobs reach the adapter, and its studies the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow import judges
from radflow.cli.app import main
from radflow.cli.overrides import SHIPPED
from radflow.config import Recipe, load_recipe, make_recipe
from radflow.errors import DataError, RecipeError
from radflow.run.studies import prepare_studies, source_options, triage
from radflow.studies import Manifest, Study, read_manifest
from radflow.workspace import Workspace

RECIPE = """
seed = 5

[data]
source = "table"
root = "ward"
table = "reports.csv"
max_images = 1

[data.columns]
study_id = "exam"
images = "png"
report = "text"
split = "fold"

[data.splits]
holdout = "test"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "ward").mkdir()
    lines = ["exam,person,png,text,fold"]
    for number in range(10):
        image = tmp_path / f"ward/{number}.png"
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(image)
        lines.append(
            f"e{number},p{number},{number}.png,Large left pneumothorax.,{'holdout' if number else 'val'}"
        )
    (tmp_path / "ward/reports.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def prepared(recipe: Recipe, folder: Path) -> tuple[Manifest, list[str]]:
    said: list[str] = []
    workspace = Workspace(folder / "run", recipe, echo=said.append)
    prepare_studies(workspace, recipe, judges.load("rules"))
    return read_manifest(workspace.path("prepare", "studies.jsonl")), said


def test_a_run_over_a_table(recipe: Path, tmp_path: Path) -> None:
    manifest, said = prepared(load_recipe(recipe), tmp_path)
    assert [study.split for study in manifest.studies] == ["validate", *["test"] * 9]
    assert all(study.critical and study.critical_by for study in manifest.studies)
    assert manifest.studies[3].images == (tmp_path / "ward/3.png",)
    assert any("table: 10 of 10 studies" in line for line in said)


def test_reports_in_another_language_are_said_and_stop_a_run_where_they_are_most(
    recipe: Path, tmp_path: Path
) -> None:
    table = tmp_path / "ward/reports.csv"
    text, english, german = table.read_text(), "Large left pneumothorax.", "Kein Pneumothorax."
    table.write_text(text.replace(english, german, 2))
    _, said = prepared(load_recipe(recipe), tmp_path / "some")
    found = "2 of 10 reports (20.0%) look like German: e0, e1"
    assert sum(found in line for line in said) == 2  # the account's note, and the run's warning
    table.write_text(text.replace(english, german))
    with pytest.raises(DataError, match=r"ward: expected reports in English.*data\.any_language = true"):
        prepared(load_recipe(recipe), tmp_path / "most")
    manifest, _ = prepared(load_recipe(recipe, {"data.any_language": "true"}), tmp_path / "any")
    assert len(manifest.studies) == 10


def test_the_recipe_of_the_run_means_the_same(recipe: Path, tmp_path: Path) -> None:
    made = load_recipe(recipe)
    Workspace(tmp_path / "run", made)
    assert load_recipe(tmp_path / "run/recipe.toml") == made


def test_what_the_recipe_says_reaches_the_adapter(recipe: Path) -> None:
    knobs = source_options(
        load_recipe(recipe, {"data.columns.patient_id": "person", "data.splits.x": "train"})
    )
    assert knobs == {
        "table": Path("reports.csv"),
        "max_images": 1,
        "columns": {
            "study_id": "exam",
            "patient_id": "person",
            "images": ("png",),
            "report": "text",
            "split": "fold",
        },
        "splits": {"holdout": "test", "x": "train"},
        "seed": 5,
    }


def test_the_command_line_means_the_same(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--table reports.csv --columns.study_id exam --columns.images png --columns.report text"
    splits = "--columns.split fold --splits.holdout test --out"
    root = str(tmp_path / "ward")
    with pytest.raises(SystemExit) as left:
        main(
            ["prepare", "table", "--root", root, *options.split(), *splits.split(), str(tmp_path / "m.jsonl")]
        )
    assert left.value.code in (0, None)
    by_recipe, _ = prepared(load_recipe(recipe), tmp_path)
    by_command = read_manifest(tmp_path / "m.jsonl")
    assert [(s.study_id, s.split, s.reference) for s in by_command.studies] == [
        (s.study_id, s.split, s.reference) for s in by_recipe.studies
    ]
    assert "table: 10 of 10 studies" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"source": "rexgradient", "encoding": "latin-1"},
            r"data\.encoding: rexgradient has no such knob; it takes ",
        ),
        ({"source": "mimic-cxr", "table": "x.csv"}, r"data\.table: mimic-cxr has no such knob"),
        ({"source": "iu-xray", "count": 5}, r"data\.count: iu-xray has no such knob"),
    ],
)
def test_a_knob_of_another_data_set_is_an_error(tmp_path: Path, data: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        source_options(make_recipe({"data": {"root": str(tmp_path), **data}}))


@pytest.mark.parametrize(
    ("name", "overrides", "knobs"),
    [
        ("iu-xray", {"data.source": "iu-xray", "data.root": "ward"}, {"seed": 0}),
        ("rexgradient", {"data.root": "ward"}, {"max_images": 2}),
    ],
)
def test_shipped_recipes_do_with_a_root_what_they_say(
    name: str, overrides: dict[str, str], knobs: dict[str, Any]
) -> None:
    recipe = load_recipe(SHIPPED / f"{name}.toml", overrides)
    assert recipe.data.root == Path("ward").absolute()
    assert source_options(recipe) == knobs


def test_the_worked_example_names_every_column_it_may(tmp_path: Path) -> None:
    knobs = source_options(load_recipe(SHIPPED / "own-table.toml"))
    assert knobs["columns"]["images"] == ("frontal_png", "lateral_png")
    assert knobs["splits"] == {"1": "train", "2": "validate", "3": "test"}
    assert (knobs["sections"], knobs["max_images"]) == ("any", 2)


def test_a_data_set_on_disk_needs_its_root() -> None:
    with pytest.raises(RecipeError, match=r"expected data\.root to name the folder of the data set 'r2gen'"):
        make_recipe({"data": {"source": "r2gen"}})


def test_too_many_studies_that_cannot_be_used_stop_the_run(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "ward/4.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"1 of 10 studies cannot be used, more than the allowed 5%; see .*rejected"
    ):
        prepared(load_recipe(recipe), tmp_path)
    manifest, _ = prepared(load_recipe(recipe, {"data.max_bad_share": "0.2"}), tmp_path / "again")
    assert len(manifest.studies) == 9


def test_studies_that_are_not_wanted_are_not_bad(recipe: Path, tmp_path: Path) -> None:
    table = tmp_path / "ward/reports.csv"
    table.write_text(table.read_text().replace("Large left pneumothorax.", "", 1))
    manifest, _ = prepared(load_recipe(recipe), tmp_path)
    assert len(manifest.studies) == 9


def test_a_judge_goes_before_the_rules_and_nobody_else(studies: list[Study]) -> None:
    class Everything:
        name = "openai:m"

        def __call__(self, pairs: Any) -> list[bool]:
            raise AssertionError("the other question was asked")

        def criticality(self, reports: Any) -> list[bool]:
            return [True] * len(reports)

    given = [
        replace(studies[0], study_id="open", critical=None),
        replace(studies[0], study_id="rules", critical=False, critical_by="criticality-rules"),
        replace(studies[0], study_id="reader", critical=False, critical_by="Dr. A"),
    ]
    assert [(s.critical, s.critical_by) for s in triage(given, Everything())] == [
        (True, "openai:m"),
        (True, "openai:m"),
        (False, "Dr. A"),
    ]
    by_rules = triage(given)
    assert [s.critical_by for s in by_rules] == ["criticality-rules", "criticality-rules", "Dr. A"]
    assert by_rules[1] is given[1]
