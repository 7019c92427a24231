import pytest

from radflow import judges
from radflow.errors import RecipeError


def test_the_rule_judge_loads_and_answers():
    judge = judges.load("rules")
    assert judge.name == "rules"
    assert judge([]) == []
    assert judge([("Lungs are clear. No effusion.", "No acute cardiopulmonary abnormality.")]) == [True]


def test_unknown_judges_are_refused_with_what_there_is():
    with pytest.raises(RecipeError, match="among rules, openai:<model>, local:<folder>; got 'gpt-4o'"):
        judges.load("gpt-4o")
    with pytest.raises(RecipeError, match="Did you mean 'rules'"):
        judges.load("rule")
