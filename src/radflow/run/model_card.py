"""The model card of a run's models: data, recipe, metrics with intervals, intended use, limits, how to load.

It is made from the run's files and holds counts and settings only: no report text, no patient or study id, no
path of this machine. Its head is what the Hugging Face hub reads.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
import tomli_w

from radflow.config import TRAINED_CONTROLS, Policy, Recipe, load_recipe, without_folders
from radflow.config.packaged import LANGUAGE, PACKAGED, VISION
from radflow.config.policy import FROM_NOISE, SMALL, TINY
from radflow.evaluation import Results, read_results
from radflow.evaluation.controls import RADFLOW, SFT, SHUFFLED, TEMPLATE
from radflow.evaluation.notation import number, positives_label, with_interval
from radflow.files import read_json, write_atomic
from radflow.metrics import METRICS
from radflow.metrics.naming import CORPUS, in_order, row_label
from radflow.modality import MODALITIES
from radflow.policy.chat import PREFIX_FORM
from radflow.policy.forms import form_of
from radflow.policy.images.pixels import crops_ends
from radflow.policy.processors import leaves_video_out, load_processor
from radflow.policy.serving import vllm_obstacles, vllm_rank
from radflow.studies import Study
from radflow.studies.manifest import read_manifest
from radflow.studies.study import SPLITS
from radflow.studies.training_facts import FILE, training_facts

Stage = Literal["sft", "rft"]
Kind = Literal["adapter", "merged", "whole"]

LOADING = "## How to load"
CARD = "README.md"
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
    public, policy = hub_name(recipe.policy.model), recipe.policy
    drawn = any(study.drawn for study in studies)
    return (
        environment()
        .get_template("model_card.jinja")
        .render(
            title=one_line(recipe.name),
            metadata=_metadata(recipe, public, kind),
            modality=MODALITIES[studies[0].modality].pictures,
            stage=stage,
            source=SOURCES.get(recipe.data.source, "Studies of the user's own"),
            images="drawn" if drawn else "real",
            splits=split_rows(studies),
            critical_by=", ".join(sorted({in_words(s.critical_by or "not recorded") for s in studies})),
            policy=policy,
            sft=recipe.sft,
            rft=recipe.rft,
            reward=recipe.reward,
            strategy=recipe.exploration.strategy,
            seed=recipe.seed,
            origin=_origin(policy),
            trained=_trained(run, policy),
            reinforced=f"LoRA rank {policy.lora_rank}, alpha {policy.lora_alpha}"
            if policy.lora_rank
            else "the language model",
            explored=read_json(run / "exploration" / "summary.json") if stage == "rft" else None,
            kept=read_json(run / "rft" / "summary.json") if stage == "rft" else None,
            metrics=metric_table(results, stage) if results else None,
            cases=results.cases if results else 0,
            decoding=results.decoding if results else "",
            warnings=results.warnings if results else [],
            obstacles=vllm_obstacles(folder) if kind == "adapter" else [],
            **loading(kind, recipe, policy.model, load_processor(folder), folder),
            images_per_study=max(len(study.images) for study in studies),
        )
    )


def _trained(run: Path, policy: Policy) -> str:
    """What SFT trained, as its stage wrote it down."""
    summary = run / "sft" / "summary.json"
    if summary.is_file():
        return one_line(read_json(summary)["trained"])
    return "all weights" if policy.from_noise else f"LoRA rank {policy.lora_rank}, alpha {policy.lora_alpha}"


def _origin(policy: Policy) -> str:
    """Where a whole model comes from, to the end of the sentence."""
    whose = (
        "the embedded default policy of radflow"
        if policy.model == TINY
        else f"{policy.model}, one of the systems that `radflow baselines` lists, at a small size"
    )
    if policy.from_noise and policy.tiny.tower is None:
        return (
            f"a small one that was trained from noise: {whose}, which shows\n"
            "the method and is no clinical model. Its vocabulary is that of its training reports."
        )
    if policy.from_noise:
        return (
            f"a small one, {whose}: the vision tower is\n"
            f"{base_in_words(policy.tiny.tower or '')}, the connector and the language model were trained\n"
            "from noise. Its vocabulary is that of its training reports."
        )
    return f"fine-tuned from {base_in_words(policy.model)}."


def loading(kind: Kind, recipe: Recipe, base: str, processor: Any, folder: Path) -> dict[str, Any]:
    """What the template ``loading.jinja`` asks for beside ``obstacles`` and ``images_per_study``."""
    place = Path(base) if kind == "adapter" else folder
    ours = form_of(place) if place.is_dir() else None
    policy, public = recipe.policy, hub_name(base)
    pads = processor is not None and recipe.policy.image_square == "pad"
    return {
        "kind": kind,
        "ours": ours,
        "base": public or "BASE",
        "base_in_words": base_in_words(base),
        "public_base": public is not None,
        "context": policy.prompt_context,
        "rank": vllm_rank(policy.lora_rank),
        "code": loading_lines(
            kind,
            base=public or "BASE",
            prompt=policy.prompt,
            most=policy.max_new_tokens,
            processor=processor,
            pads=pads and crops_ends(processor.image_processor),
            ours=ours,
        ),
    }


def loading_lines(
    kind: Kind,
    *,
    base: str,
    prompt: str,
    most: int,
    processor: Any = None,
    pads: bool = False,
    ours: str | None = None,
) -> str:
    """Python that loads the model and writes one report, with only transformers and peft. A test runs it.

    Args:
        kind: what the folder holds.
        base: name of the base model, or what stands for it.
        prompt: the instruction the model was trained with.
        most: tokens of the longest report.
        processor: of the model, where it has one.
        pads: whether it was trained on pictures that were padded to a square.
        ours: the module that makes transformers know the model, if its form is radflow's own.
    """
    name, images_only = type(processor).__name__, leaves_video_out(processor)
    return (
        environment()
        .get_template("code.jinja")
        .render(
            kind=kind,
            base=json.dumps(base),
            prompt=json.dumps(prompt),
            most=most,
            processor=name if images_only else "AutoProcessor",
            images_only=images_only,
            prefix=name == PREFIX_FORM,
            pads=pads,
            ours=ours,
        )
    )


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
    if model in FROM_NOISE:
        return f"the {model} policy"
    if model == SMALL:
        return f"the small policy, {VISION} and {LANGUAGE} from PyPI"
    if model in PACKAGED:
        return f"{model} from PyPI"
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


def metric_table(results: Results, stage: Stage) -> dict[str, Any]:
    """Columns and rows of the metrics, template and SFT beside the model, and the shuffled control."""
    systems = {"Template": TEMPLATE, "SFT": SFT}
    if stage == "rft":
        systems |= {name: name for name in TRAINED_CONTROLS if name in results.systems} | {"RadFlow": RADFLOW}
    present = {name for scores in results.systems.values() for name in scores}
    rows = []
    for name in in_order(present):
        cells = [with_interval(results.systems.get(system, {}).get(name)) for system in systems.values()]
        if stage == "rft":
            cells.append(with_interval(results.shuffled[name].shuffled if name in results.shuffled else None))
        rows.append((_label(name, results.labels), cells))
        if name == tuple(CORPUS)[-1] and results.drift:
            figures = [results.drift.get(s, {}).get("positives") for s in (*systems.values(), SHUFFLED)]
            cells = [number(figure, 2) for figure in figures[: len(cells)]]
            rows.append((positives_label(results.drift), cells))
    return {"columns": [*systems, *(["RadFlow, shuffled"] if stage == "rft" else [])], "rows": rows}


def _label(name: str, labels: Mapping[str, str]) -> str:
    """As in the run's tables; the consistency term says which judge it asked."""
    if name in METRICS or name in CORPUS:
        return row_label(name, labels)
    term = in_words(labels.get(name, row_label(name).strip(" ↑")))
    return f"Reward: {term[0].lower()}{term[1:]} ↑" if name != "reward" else "Reward ↑"


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
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("radflow.run"),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters |= {"as_code": as_code, "in_words": in_words}
    return found
