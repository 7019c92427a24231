"""The few facts at the top of the page, and the times at its end."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from radflow.evaluation.notation import brackets, number, signed
from radflow.modality import MODALITIES
from radflow.viewer.records import Interval, Results
from radflow.viewer.run_page.run_files import RunFiles
from radflow.viewer.verdict import label_metric, tone
from radflow.viewer.wording import duration, metric_name, percent

_RECIPE_FACTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Policy", "{}, LoRA rank {}", ("policy.model", "policy.lora_rank")),
    ("SFT", "{:g} epochs, batch {}, rate {:g}", ("sft.epochs", "sft.batch_size", "sft.learning_rate")),
    ("Explored", "{}, keep {:g}%", ("exploration.strategy", "exploration.keep_percent")),
    (
        "RFT",
        "{} steps of {} studies, G = {}, {} inner steps",
        ("rft.steps", "rft.studies_per_step", "rft.group_size", "rft.inner_steps"),
    ),
    ("Clip range", "{:g} normal, {:g} critical", ("rft.epsilon", "rft.critical_epsilon")),
    ("KL weight", "{:g}", ("rft.beta",)),
    ("Judge", "{}", ("reward.judge",)),
)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One headline number with its interval."""

    name: str
    mean: str
    ends: str
    tone: str
    note: str


def tiles(results: Results) -> list[Tile]:
    """Return label F1, the gains in reward and label F1, and the fall of the latter with shuffled images."""
    label, labels, found = label_metric(results), results.labels, []
    scores = {name: metrics.get(label or "") for name, metrics in results.systems.items()}
    if ours := scores.get("radflow"):
        beside = [
            f"{word} {number(score.mean)}"
            for word, system in (("SFT", "sft"), ("template", "template"))
            if (score := scores.get(system))
        ]
        name, ends = f"{metric_name(str(label), labels)} of RadFlow", brackets(ours.low, ours.high)
        found.append(Tile(name=name, mean=number(ours.mean), ends=ends, tone="", note=", ".join(beside)))
    for metric in ("reward", label):
        if metric and (gain := results.gain.get(metric)):
            colour = tone(metric, gain, results)
            found.append(_tile(metric_name(metric, labels), gain, colour, "gain, RadFlow − SFT"))
    if looked_at := label if label in results.shuffled else next(iter(results.shuffled), None):
        fall = results.shuffled[looked_at].fall
        note = f"fall of {metric_name(looked_at, labels)} when images are shuffled"
        found.append(_tile("Looks at the picture", fall, "better" if fall.low > 0 else "worse", note))
    return found


def subject(files: RunFiles) -> str:
    """Return what was trained on what and measured on what, in one sentence; ``""`` where no file says so."""
    results = files.results
    if results is None or results.modality is None:
        return ""
    model = str(_flat(tomllib.loads(files.recipe or "")).get("policy.model", ""))
    who = f"The model “{model}” was trained" if model else "Trained"
    count = f"{files.trained_on:,} studies of " if files.trained_on else ""
    studies = _pictures(results.modality)
    drawn = " (images drawn by a program)" if results.images == "drawn" else ""
    tested = f", and measured on {results.cases:,} {results.split} studies" if results.cases else ""
    return f"{who} on {count}{studies}{drawn}{tested}."


def run_facts(files: RunFiles) -> list[tuple[str, str]]:
    """Return name and value of what was run on what, as far as the run's files say."""
    facts: dict[str, str] = {}
    results = files.results or Results()
    if results.modality:
        facts["Studies"] = _pictures(results.modality)
    if results.images:
        facts["Images"] = results.images
    if results.cases is not None:
        facts["Evaluated on"] = f"{results.cases:,} {results.split} studies"
        facts["Decoding"] = results.decoding
    if explored := files.exploration:
        share = percent(explored.picked_size / max(explored.split_size, 1), 1)
        facts["Explored"] = f"{explored.picked_size:,} of {explored.split_size:,} ({share})"
    if files.rft and files.rft.best_step is not None:
        of = f" of {files.rft.steps}" if files.rft.steps is not None else ""
        facts["RFT step chosen"] = f"{files.rft.best_step}{of}, on validation"
    if results.seed is not None:
        facts["Seed"] = str(results.seed)
    if results.seconds:
        facts["Time"] = duration(sum(results.seconds.values()))
    return list(facts.items())


def recipe_facts(recipe: str | None) -> list[tuple[str, str]]:
    """Return the knobs of a recipe that matter most; a knob the recipe does not name is left out.

    >>> recipe_facts("[rft]\\nepsilon = 0.2\\ndivisor = 4.0\\n")
    [('Clip range', '0.2 normal, 0.05 critical')]
    """
    knobs = _flat(tomllib.loads(recipe or ""))
    if {"rft.epsilon", "rft.divisor"} <= knobs.keys():
        knobs["rft.critical_epsilon"] = knobs["rft.epsilon"] / knobs["rft.divisor"]
    return [
        (name, form.format(*(knobs[key] for key in keys)))
        for name, form, keys in _RECIPE_FACTS
        if all(key in knobs for key in keys)
    ]


def seconds_table(seconds: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Return stage, time and share of the whole for each stage.

    >>> seconds_table({"sft": 90.0, "rft": 10.0})
    [('sft', '1 min 30 s', '90%'), ('rft', '10.0 s', '10%')]
    """
    total = sum(seconds.values())
    return [
        (stage, duration(value), percent(value / total) if total else "–") for stage, value in seconds.items()
    ]


def _pictures(modality: str) -> str:
    """What the pictures of a modality are called; its name where radflow does not know it."""
    return MODALITIES[modality].pictures if modality in MODALITIES else modality


def _tile(name: str, interval: Interval, colour: str, note: str) -> Tile:
    ends = brackets(interval.low, interval.high, gain=True)
    return Tile(name=name, mean=signed(interval.mean), ends=ends, tone=colour, note=note)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
