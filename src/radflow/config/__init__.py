"""The recipe: every knob of a run, and its file.

A recipe is a sparse TOML file over the models of this package, one module per group of sections: what it does
not name keeps the default. Unknown keys are errors, with a suggestion.
``load_recipe("r.toml", {"rft.steps": "20"})`` applies overrides the way
``radflow run r.toml --rft.steps 20`` does.
"""

from radflow.config.data import Columns, Data
from radflow.config.files import dump_recipe, knob_of, knobs, load_recipe, make_recipe, placed, suggest_option
from radflow.config.places import without_folders
from radflow.config.policy import Policy, Tiny
from radflow.config.recipe import TRAINED_CONTROLS, Evaluation, Recipe
from radflow.config.reward import Judge, Reward
from radflow.config.section import Section
from radflow.config.training import Controls, Exploration, Rft, Sft

__all__ = [
    "TRAINED_CONTROLS",
    "Columns",
    "Controls",
    "Data",
    "Evaluation",
    "Exploration",
    "Judge",
    "Policy",
    "Recipe",
    "Reward",
    "Rft",
    "Section",
    "Sft",
    "Tiny",
    "dump_recipe",
    "knob_of",
    "knobs",
    "load_recipe",
    "make_recipe",
    "placed",
    "suggest_option",
    "without_folders",
]
