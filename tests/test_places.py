import pytest

from radflow.config import Recipe, dump_recipe, make_recipe, without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('root = "/home/me/data set/films"', 'root = "films"'),
        ('root = "/home/o\'brien (old)/films/"', 'root = "films"'),
        ('model = "/qwen"', 'model = "qwen"'),
        ('["/a/b", "~/c/d"]', '["b", "d"]'),
        (r'root = "C:\\Users\\me\\films"', 'root = "films"'),
        ("chexbert:/home/me/chexbert", "chexbert:chexbert"),
        ("local:/home/me/my llama", "local:my llama"),
        ("the judge 'local:/home/me/llama' says yes/no", "the judge 'local:llama' says yes/no"),
        ("see /home/me/a and b/c", "see a and b/c"),
    ],
)
def test_an_absolute_path_is_its_last_name(text: str, shown: str) -> None:
    assert without_folders(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/v1",
        'base_url = "https://api.openai.com/v1"',
        "Qwen/Qwen2.5-VL-3B-Instruct",
        "../data/films",
        "and/or",
        "3 / 4",
        "F1 (rules) ↑",
        "",
    ],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert without_folders(text) == text


def test_a_recipe_without_folders_is_as_it_was() -> None:
    assert without_folders(dump_recipe(Recipe())) == dump_recipe(Recipe())
    recipe = make_recipe({"data": {"root": "/home/me/films"}, "judge": {"store": "/home/me/v.sqlite3"}})
    assert "/home" not in without_folders(dump_recipe(recipe))
