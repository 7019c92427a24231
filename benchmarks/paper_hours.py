"""How many GPU-hours do the paper's settings take? Prints one JSON object per recipe.

    python benchmarks/paper_hours.py paper-mimic-cxr paper-iu-xray paper-rexgradient paper-carotid

The operations of each stage (``rft_flops.py``: the engine's own, with the prompt once per group) over what a
GPU does of them. No GPU is asked: ``radflow run RECIPE --dry-run`` times a step on yours. Assumed, and
options:

- one picture and its words are 1,300 tokens, a report 120;
- a GPU of 312 TFLOP/s, the A100's for dense bfloat16, of which 8.1 % are used: what EasyR1 publishes for
  training Qwen2.5-VL-3B on 8 H100s, decoding included;
- as many studies as the data set has, whether or not their reports have both sections (`STUDIES`).

Left out: reading the data, the answers of the judge, metrics, checkpoints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rft_flops import Work, backward, forward, phases, sizes, tower, triangle
from rft_models import SHAPES, layout

from radflow.config import load_recipe

RECIPES = Path(__file__).parents[1] / "src" / "radflow" / "recipes"
STUDIES = {
    "paper-mimic-cxr": (222_758, 1_808, 3_269),
    "paper-iu-xray": (2_069, 296, 590),
    "paper-rexgradient": (140_000, 10_000, 10_000),
    "paper-carotid": (8_400, 1_800, 1_800),
}
"""To train, validate and test: MIMIC-CXR-JPG 2.1.0, R2Gen, ReXGradient-160K, 70 / 15 / 15 % of 12,000."""
SYSTEMS = 3
"""Whose reports the evaluation decodes: SFT, RadFlow, and RadFlow on shuffled images."""
PAPER = 672
"""GPU-hours in section 5.2, on 8 MetaX C500."""


def operations(recipe, studies, shape, prefix, completion):
    """Of each stage of a run."""
    train, validate, test = studies
    rft = recipe.rft
    picture = tower(shape, layout(shape, prefix))
    alone = Work(prefix=prefix, completion=completion, group=1)
    size = sizes(alone, shared=True)
    learnt = picture + forward(shape, *size) + backward(shape, *size)
    written = phases(shape, alone, shared=True)
    report = written["prefill"] + written["decode"]
    group = phases(
        shape,
        Work(prefix=prefix, completion=completion, group=rft.group_size, inner=rft.inner_steps),
        shared=True,
    )
    validations = 1 + -(-rft.steps // rft.validate_every)
    read = picture + forward(shape, prefix + completion, triangle(prefix + completion), completion)
    losses = max(1, recipe.sft.epochs * train // (recipe.sft.batch_size * recipe.sft.validate_every))
    return {
        "sft": recipe.sft.epochs * train * learnt
        + losses * min(recipe.sft.validation_studies, validate) * read,
        "exploration": train * report,
        "rft": rft.steps * rft.studies_per_step * sum(group.values())
        + validations * min(rft.validation_studies, validate) * report,
        "generate": SYSTEMS * test * report,
    }


def hours(name, model, prefix, completion, tflops, utilisation):
    """GPU-hours of each stage of a shipped recipe, and of all."""
    recipe = load_recipe(RECIPES / f"{name}.toml")
    done = operations(recipe, STUDIES[name], SHAPES[model], prefix, completion)
    per_hour = tflops * 1e12 * utilisation * 3600
    stages = {stage: work / per_hour for stage, work in done.items()}
    return {stage: round(value, 1) for stage, value in stages.items()} | {"all": round(sum(stages.values()))}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", choices=[[], *STUDIES], default=[], metavar="RECIPE")
    parser.add_argument("--model", choices=sorted(SHAPES), default="qwen2.5-vl-3b")
    parser.add_argument("--prefix", type=int, default=1_300)
    parser.add_argument("--completion", type=int, default=120)
    parser.add_argument("--tflops", type=float, default=312.0, help="of a GPU, dense bfloat16")
    parser.add_argument("--utilisation", type=float, default=0.081, help="share of them that is used")
    given = vars(parser.parse_args())
    names = given.pop("recipes") or list(STUDIES)
    gpu_hours = {name: hours(name, **given) for name in names}
    print(json.dumps({"gpu_hours": gpu_hours, "paper": PAPER, "settings": given}, indent=1))


if __name__ == "__main__":
    main()
