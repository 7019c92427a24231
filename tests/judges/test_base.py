import pytest

from radflow import judges
from radflow.errors import RecipeError


@pytest.mark.parametrize("name", judges.JUDGES)
def test_every_judge_in_the_table_loads_and_answers(name):
    judge = judges.load(name)
    assert judge.name == name
    assert judge([]) == []
    assert judge([("Lungs are clear. No effusion.", "No acute cardiopulmonary abnormality.")]) == [True]


def test_unknown_judges_are_refused_with_what_there_is():
    with pytest.raises(RecipeError, match="among rules; got 'openai:gpt-4o'"):
        judges.load("openai:gpt-4o")
    with pytest.raises(RecipeError, match="Did you mean 'rules'"):
        judges.load("rule")
