"""What an ablation's file may say, and what is said of one that is wrong: its name, and the row."""

from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.ablation.definition import PAPER, Definition, read_definition
from radflow.ablation.plan import Source, identity, make_plan
from radflow.config import Recipe
from radflow.errors import RadflowError

ROWS = '[[rows]]\nname = "a"\n[[rows]]\nname = "b"\n'


@pytest.fixture
def planned(tmp_path: Path, recipe: Path) -> Callable:
    """Plan the ablation of a TOML text."""

    def planned(text: str, **options: object) -> object:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        sources = [Source(label="small", path=recipe)]
        given = {"overrides": {}, "seeds": None, "out": tmp_path / "out", **options}
        return make_plan(read_definition(path), path, sources, **given)

    return planned


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "mine.toml: expected TOML, got"),
        (ROWS, "mine.toml: expected the key 'title', found none"),
        ('title = "t"', "mine.toml: expected the key 'rows', found none"),
        ('title = "t"\nrows = []', "mine.toml: rows: "),
        ('title = "t"\nrow = 1\n' + ROWS, "mine.toml: unknown key 'row'. Did you mean 'rows'?"),
        ('title = "t"\n' + ROWS + "overide = 3", "mine.toml: row 2 ('b'): unknown key 'overide'."),
        (
            'title = "t"\n' + ROWS + "name2 = 3\n[[rows]]\nnote = 1",
            "mine.toml: row 3: expected the key 'name'",
        ),
        ('title = "t"\n' + ROWS + '[[rows]]\nname = "a"', "mine.toml: expected each row once, got 'a' twice"),
        (
            'title = "t"\n' + ROWS + '[[claims]]\nsays = "s"\nrow = "a"\nthan = "c"\nmetrics = ["bleu2"]',
            "mine.toml: claim 's': than: expected one of a, b; got 'c'",
        ),
        (
            'title = "t"\n' + ROWS + '[[claims]]\nsays = "s"\nrow = "a"\nthen = "b"\nmetrics = ["bleu2"]',
            "mine.toml: claim 1 ('s'): unknown key 'then'. Did you mean 'than'?",
        ),
        ('title = "t"\ncompare_with = "c"\n' + ROWS, "compare_with: expected one of a, b; got 'c'"),
        (
            'title = "t"\n' + ROWS + 'overrides = { "rft.stps" = 3 }',
            "mine.toml: row 'b': no such knob 'rft.stps'. Did you mean 'rft.steps'?",
        ),
        (
            'title = "t"\n' + ROWS + 'overrides = { "rft.steps" = -3 }',
            "mine.toml: row 'b': rft.steps: expected greater than or equal to 1, got '-3'",
        ),
        (
            'title = "t"\n' + ROWS + 'overrides = { "rft.inner_steps" = 1 }',
            "mine.toml: row 'b': rft.inner_steps: expected inner_steps of at least 2, got 1",
        ),
        ('title = "t"\n' + ROWS + "overrides = { seed = 3 }", "row 'b': seed is set by the ablation itself"),
        ('title = "t"\n[overrides]\nrft = 3\n' + ROWS, "mine.toml: [overrides]: no such knob 'rft'."),
        (
            'title = "t"\n' + ROWS + 'overrides = { "rft.steps" = [[1]] }',
            "mine.toml: row 'b': rft.steps: expected text, a number, true or false, or a list of those",
        ),
    ],
)
def test_a_mistake_names_the_file_and_the_row(planned: Callable, text: str, said: str) -> None:
    with pytest.raises(RadflowError) as caught:
        planned(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cells_have_in_common_is_run_once(planned: Callable) -> None:
    plan = planned(
        'title = "t"\n' + ROWS + "overrides = { rft.divisor = 1, evaluation.controls = [] }\n"
        '[[rows]]\nname = "c"\n[[rows]]\nname = "d"\nsystem = "sft"\n'
        '[[rows]]\nname = "e"\noverrides = { "sft.epochs" = 2 }\n'
        '[[rows]]\nname = "f"\noverrides = { "evaluation.controls" = ["template", "sft-continued"] }\n'
        '[[rows]]\nname = "g"\nunavailable = "not ours"\n',
        seeds=[0, 1],
    )
    cells = {row: task for (_, row, seed), task in plan.cells.items() if seed == 0}
    assert sorted(cells) == list("abcdef")
    assert cells["a"] is cells["c"] is cells["d"]
    builds_on = {row: [] for row in cells}
    for row, task in cells.items():
        while task.parent is not None:
            task = task.parent
            builds_on[row].insert(0, task.stage)
    assert builds_on["a"] == builds_on["f"] == ["prepare", "exploration", "rft"]
    assert builds_on["b"] == ["prepare", "exploration"]
    assert builds_on["e"] == ["prepare"]
    assert len(plan.tasks) == 2 * (4 + 3)
    folders = [task.folder for task in plan.tasks]
    assert len(set(folders)) == len(folders)
    assert [
        plan.tasks.index(t)
        for t in plan.tasks
        if t.parent and plan.tasks.index(t.parent) > plan.tasks.index(t)
    ] == []


def test_a_rows_folder_starts_where_the_file_lies(planned: Callable, tmp_path: Path) -> None:
    plan = planned('title = "t"\n' + ROWS + 'overrides = { "data.root" = "films", "data.source" = "r2gen" }')
    assert plan.cells[0, "b", 0].recipe.data.root == tmp_path / "films"


def test_the_papers_tables_are_such_files(recipe: Path, tmp_path: Path) -> None:
    for number, path in PAPER.items():
        definition = read_definition(path)
        assert definition.title.startswith(f"Table {number}: ")
        sources = [Source(label="small", path=recipe)]
        plan = make_plan(definition, path, sources, overrides={}, seeds=None, out=tmp_path)
        assert plan.definition.reference in definition.rows
        for dataset in definition.datasets:
            printed = [row.paper[dataset] for row in definition.rows if row.paper]
            assert len({tuple(figures) for figures in printed}) == 1
            assert set(printed[0]) <= set(definition.metrics or ())


def test_the_reference_row_is_the_first_that_is_run() -> None:
    rows = [{"name": "a", "unavailable": "no"}, {"name": "b"}]
    found = Definition.model_validate({"title": "t", "rows": rows}).reference
    assert found is not None and found.name == "b"


def test_a_cell_is_known_by_its_settings_wherever_it_ran(tmp_path: Path) -> None:
    manifest = tmp_path / "studies.jsonl"
    manifest.write_text("{}\n")
    data = {"source": "manifest", "manifest": manifest}
    known = identity(Recipe(data=data, out=tmp_path / "one"))
    moved = tmp_path / "elsewhere" / "all.jsonl"
    moved.parent.mkdir()
    moved.write_text("{}\n")
    elsewhere = {"data": data | {"manifest": moved}, "threads": 3, "name": "theirs"}
    elsewhere["policy"] = {"image_features_folder": tmp_path}
    assert identity(Recipe(**elsewhere)) == known
    assert identity(Recipe(**elsewhere, seed=1)) != known
    drawn, real = (Recipe(data={"source": "iu-xray", "images": images}) for images in (None, tmp_path))
    assert identity(drawn) != identity(real)
    assert identity(Recipe(**elsewhere, rft={"steps": 7})) != known
    moved.write_text("{}\n{}\n")
    assert identity(Recipe(**elsewhere)) != known
