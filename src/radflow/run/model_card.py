"""The model card of a run's models: data, recipe, metrics with intervals, intended use, limits, how to load.

It is made from the run's files and holds counts and settings only: no report text, no patient or study id, no
path of this machine. Its head is what the Hugging Face hub reads.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
import tomli_w

from radflow.config import Recipe, load_recipe, without_folders
from radflow.evaluation import Results, read_results
from radflow.evaluation.evaluate import RADFLOW, SFT, TEMPLATE
from radflow.evaluation.notation import with_interval
from radflow.evaluation.tables import REWARD_LABELS, row_label
from radflow.files import read_json, write_atomic
from radflow.metrics import METRICS
from radflow.modality import MODALITIES
from radflow.policy.images.pixels import crops_ends
from radflow.policy.processors import load_processor
from radflow.policy.serving import vllm_obstacles
from radflow.run.loading_lines import loading_lines, vllm_line
from radflow.studies import Study
from radflow.studies.manifest import read_manifest
from radflow.studies.study import SPLITS
from radflow.studies.training_facts import FILE, training_facts

Stage = Literal["sft", "rft"]
Kind = Literal["adapter", "merged", "whole"]

LOADING = "## How to load"
CARD = "README.md"
TINY = "tiny"
SOURCES = {
    "carotid-phantom": "Carotid phantom: ultrasound drawn by radflow, reports made from the drawn anatomy",
    "open-i": "IU X-Ray (Open-i, US National Library of Medicine)",
    "iu-xray": "IU X-Ray (Open-i, US National Library of Medicine)",
    "mimic-cxr": "MIMIC-CXR (PhysioNet)",
    "chexpert-plus": "CheXpert Plus (Stanford AIMI)",
    "rexgradient": "ReXGradient-160K",
}
"""What a card calls a data set; any other source is the user's own."""
HUB_DATASETS = {"rexgradient": "rajpurkarlab/ReXGradient-160K"}
"""Data sets that are on the Hugging Face hub under this name."""

_PARTS = (
    "prompt",
    "prompt_context",
    "prompt_prior",
    "max_prompt_tokens",
    "image_tokens",
    "max_new_tokens",
    "image_square",
)
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SHARED_LIMITS = (
    "No radiologist has rated its reports. Fluent text may be wrong, and may leave out what matters most.",
    "It learnt from the hospitals, devices, patients and wording of its training data; elsewhere it may "
    "do worse.",
    "It may mention earlier examinations or a history that it was never shown.",
    "Weights that were trained on reports may give some of their wording back. The licence of the base model "
    "and the terms of the data decide whether and with whom this folder may be shared.",
)


def write_cards(run: Path) -> None:
    """Write the cards of ``sft/model`` and ``rft/model`` of an evaluated run, and what goes with them."""
    stages: tuple[Stage, ...] = ("sft", "rft")
    train = [
        s
        for s in read_manifest(run / "prepare" / "studies.jsonl", check_images=False).studies
        if s.split == "train"
    ]
    facts = training_facts(train).model_dump_json() + "\n"
    for stage in stages:
        write_atomic(run / stage / "model" / FILE, facts)
        write_card(run, stage, run / stage / "model")


def write_card(run: Path, stage: Stage, folder: Path, *, kind: Kind | None = None) -> None:
    """Write the card of what a run's stage made into a model folder.

    A small ``recipe.toml`` goes beside it: ``radflow draft`` asks a model in the words it was trained on.

    Args:
        run: the run's folder.
        stage: of the run.
        folder: where the model is.
        kind: what the folder holds; found out where it is not given.
    """
    recipe = load_recipe(run / "recipe.toml")
    if kind is None:
        kind = "adapter" if (folder / "adapter_config.json").is_file() else "whole"
    write_atomic(folder / CARD, model_card(run, recipe, stage, folder, kind))
    knobs = recipe.policy.model_dump(include=set(_PARTS))
    write_atomic(folder / "recipe.toml", tomli_w.dumps({"name": recipe.name, "policy": knobs}))


def model_card(run: Path, recipe: Recipe, stage: Stage, folder: Path, kind: Kind) -> str:
    """The text of a card; see `write_card`."""
    studies = read_manifest(run / "prepare" / "studies.jsonl", check_images=False).studies
    results = read_results(run / "results.json") if (run / "results.json").is_file() else None
    public = hub_name(recipe.policy.model)
    base = public or "BASE"
    drawn = any(study.drawn for study in studies)
    many = max(len(study.images) for study in studies)
    obstacles = vllm_obstacles(folder) if kind == "adapter" else []
    processor = load_processor(folder)
    return (
        environment()
        .get_template("model_card.jinja")
        .render(
            title=one_line(recipe.name),
            metadata=_metadata(recipe, public, kind),
            modality=MODALITIES[studies[0].modality].pictures,
            stage=stage,
            kind=kind,
            base=base_in_words(recipe.policy.model),
            public_base=public is not None,
            source=SOURCES.get(recipe.data.source, "Studies of the user's own"),
            images="drawn" if drawn else "real",
            splits=split_rows(studies),
            critical_by=", ".join(sorted({in_words(s.critical_by or "not recorded") for s in studies})),
            recipe=recipe_rows(run, recipe, stage),
            metrics=metric_table(results, stage) if results else None,
            cases=results.cases if results else 0,
            limits=_limits(drawn, results),
            loading_heading=LOADING,
            code=loading_lines(
                kind,
                base=base,
                prompt=recipe.policy.prompt,
                most=recipe.policy.max_new_tokens,
                processor=processor,
                pads=pads_pictures(processor, recipe),
            ),
            context=recipe.policy.prompt_context,
            obstacles=obstacles,
            vllm=vllm_line(kind, base=base, rank=recipe.policy.lora_rank, images=many),
        )
    )


def pads_pictures(processor: Any, recipe: Recipe) -> bool:
    """Whether radflow pads the pictures that it gives to a processor."""
    return recipe.policy.image_square == "pad" and crops_ends(processor.image_processor)


def hub_name(model: str) -> str | None:
    """The name of a base model on the hub; ``None`` for a folder of this machine and for the tiny policy.

    >>> hub_name("Qwen/Qwen2.5-VL-3B-Instruct"), hub_name("/models/qwen"), hub_name("tiny")
    ('Qwen/Qwen2.5-VL-3B-Instruct', None, None)
    """
    return model if _HUB_NAME.fullmatch(model) and model[0] != "." and not Path(model).exists() else None


def base_in_words(model: str) -> str:
    """A base model without the way to it.

    >>> base_in_words("/home/me/models/llava-med"), base_in_words("Qwen/Qwen2.5-VL-3B-Instruct")
    ('llava-med, from a local folder', 'Qwen/Qwen2.5-VL-3B-Instruct')
    """
    if model == TINY:
        return "the tiny policy"
    return hub_name(model) or f"{one_line(Path(model).name)}, from a local folder"


def one_line(text: str) -> str:
    """Text of a recipe, a study or a file's name as it may stand in the card: as text, not as markup.

    >>> one_line("two\\nlines | a bar"), one_line("[a](javascript:b) <script>")
    ('two lines - a bar', '\\\\[a\\\\](javascript:b) &lt;script&gt;')
    """
    text = html.escape(" ".join(text.split()).replace("|", "-"), quote=False)
    return re.sub(r"[\\`*\[\]]", r"\\\g<0>", text)


def in_words(text: str) -> str:
    """What names judges and files, as text of the card, without the way to their folders."""
    return one_line(without_folders(text))


def as_code(text: str) -> str:
    """The same in a code span, where markup is text but for the backtick.

    >>> as_code("say `so` | now")
    "`say 'so' - now`"
    """
    return f"`{' '.join(text.split()).replace('|', '-').replace('`', chr(39))}`"


def split_rows(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Counts of each split: studies, patients, images, and the share that is critical."""
    rows = []
    for split in SPLITS:
        some = [study for study in studies if study.split == split]
        if some:
            rows.append(
                {
                    "name": split,
                    "studies": len(some),
                    "patients": len({study.patient_id for study in some}),
                    "images": sum(len(study.images) for study in some),
                    "critical": sum(bool(study.critical) for study in some) / len(some),
                }
            )
    return rows


def recipe_rows(run: Path, recipe: Recipe, stage: Stage) -> list[tuple[str, str]]:
    """Name and value of what the model was trained with."""
    policy, sft, rft, reward = recipe.policy, recipe.sft, recipe.rft, recipe.reward
    whole = policy.model == TINY
    rows = [
        ("Base model", base_in_words(policy.model)),
        ("Instruction", as_code(policy.prompt)),
        (
            "SFT",
            f"{'all weights' if whole else f'LoRA rank {policy.lora_rank}, alpha {policy.lora_alpha}'}; "
            f"epochs {sft.epochs:g}, batch {sft.batch_size}, learning rate {sft.learning_rate:g}",
        ),
    ]
    if stage == "rft":
        explored = read_json(run / "exploration" / "summary.json")
        kept = read_json(run / "rft" / "summary.json")
        rows += [
            (
                "Target Exploration",
                f"{recipe.exploration.strategy}: {explored['picked_size']:,} of {explored['split_size']:,} "
                "training studies",
            ),
            (
                "RFT",
                f"LoRA rank {policy.lora_rank}, alpha {policy.lora_alpha}; step {kept['best_step']} of "
                f"{kept['steps']}, chosen on validation; {rft.studies_per_step} studies per step, "
                f"G = {rft.group_size}, {rft.inner_steps} inner steps, learning rate {rft.learning_rate:g}",
            ),
            (
                "Clipping range",
                f"{rft.epsilon:g} normal, {rft.epsilon / rft.divisor:g} critical; KL weight {rft.beta:g}",
            ),
            (
                "Reward",
                f"{reward.syntax:g} syntax + {reward.domain:g} domain + {reward.consistency:g} consistency + "
                f"{reward.gamma:g} impression; judge of consistency: {in_words(reward.judge)}",
            ),
        ]
    return [*rows, ("Seed", str(recipe.seed))]


def metric_table(results: Results, stage: Stage) -> dict[str, Any]:
    """Columns and rows of the metrics, template and SFT beside the model, and the shuffled control."""
    systems = {"Template": TEMPLATE, "SFT": SFT} | ({"RadFlow": RADFLOW} if stage == "rft" else {})
    present = {name for scores in results.systems.values() for name in scores}
    names = [name for name in (*REWARD_LABELS, *METRICS) if name in present]
    rows = []
    for name in names:
        cells = [_cell(results.systems.get(system, {}).get(name)) for system in systems.values()]
        if stage == "rft":
            cells.append(_cell(results.shuffled[name].shuffled if name in results.shuffled else None))
        rows.append((_label(name, results.extra.get("labels", {})), cells))
    return {"columns": [*systems, *(["RadFlow, shuffled"] if stage == "rft" else [])], "rows": rows}


def _label(name: str, labels: Mapping[str, str]) -> str:
    """As in the run's tables; the consistency term says which judge it asked."""
    if name in METRICS:
        return row_label(name)
    term = in_words(labels.get(name, row_label(name).strip(" ↑")))
    return f"Reward: {term[0].lower()}{term[1:]} ↑" if name != "reward" else "Reward ↑"


def _cell(interval: Any) -> str:
    return with_interval(interval)


def _limits(drawn: bool, results: Results | None) -> list[str]:
    said = list(_SHARED_LIMITS)
    if drawn:
        said.insert(0, "Its images were drawn by a program: nothing here was shown on images of patients.")
    warnings = results.extra.get("warnings", []) if results else []
    return said + [in_words(warning) for warning in warnings]


def _metadata(recipe: Recipe, public: str | None, kind: Kind) -> dict[str, Any]:
    """What the hub reads. A licence is not known here and so is not claimed."""
    found: dict[str, Any] = {"library_name": "peft" if kind == "adapter" else "transformers"}
    if public is not None:
        found["base_model"] = public
        found["base_model_relation"] = "adapter" if kind == "adapter" else "finetune"
    found["pipeline_tag"] = "image-text-to-text"
    found["language"] = "en"
    found["tags"] = ["radflow", "radiology", "report-generation", *(["lora"] if kind == "adapter" else [])]
    if recipe.data.source in HUB_DATASETS:
        found["datasets"] = [HUB_DATASETS[recipe.data.source]]
    return found


def environment() -> jinja2.Environment:
    """Where the templates of cards are found."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("radflow.run"),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
