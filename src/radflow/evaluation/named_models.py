"""Metrics that are asked for with their model, such as ``green:FOLDER`` or ``crimson:openai:MODEL``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radflow import config, readers
from radflow.errors import DataError, MissingFileError
from radflow.judges.llm.grader import load_grader
from radflow.judges.llm.questions import Grading
from radflow.metrics import METRICS, metric_label
from radflow.metrics.asked.crimson import crimson_question, read_crimson
from radflow.metrics.asked.green import green_question, green_score
from radflow.metrics.table import CONSISTENCY

_CRIMSON_MODEL = "medgemma-4b-it-crimson"
_CRIMSON_SYSTEM = "You are an expert radiology evaluator that assesses the accuracy of radiology reports."
_GREEN = Grading(kind="green", version="1", user=green_question, read=green_score)


def split_names(names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names without their models, once each, and the models by name.

    Raises:
        DataError: no such metric, a model behind one that takes none, one metric with two models.
        MissingFileError: a metric without its model.

    >>> split_names(["bleu2", "green:models/green"])
    (('bleu2', 'green'), {'green': 'models/green'})
    """
    models: dict[str, str] = {}
    for asked in names:
        name, _, model = asked.partition(":")
        if name == CONSISTENCY == asked:
            continue
        metric_label(name)  # raises where the name is unknown
        form = METRICS[name].model
        if model and form is None:
            raise DataError(f"{asked}: expected {name} alone, which takes no model behind a colon")
        if form is not None and not model:
            raise MissingFileError(
                f"{name} needs {METRICS[name].requires}, which does not ship with radflow: name it, as "
                f"{name}:{form}"
            )
        if models.setdefault(name, model) != model:
            raise DataError(f"{asked}: expected one model of {name}, got {models[name]} too")
    plain = tuple(dict.fromkeys(asked.partition(":")[0] for asked in names))
    return plain, {name: model for name, model in models.items() if model}


def asks_a_model(names: Sequence[str]) -> bool:
    """Whether one of these metrics is what a language model answers.

    >>> asks_a_model(["bleu2", "crimson:openai:gpt-5.2"]), asks_a_model(["ratescore:a+b"])
    (True, False)
    """
    return any(name.partition(":")[0] in ("green", "crimson") for name in names)


def folders_of(names: Sequence[str]) -> dict[str, Path]:
    """The folders that metrics name, by how they name them.

    >>> folders_of(["green:/m/green", "crimson:openai:m", "ratescore:a+b"]).values()
    dict_values([PosixPath('/m/green'), PosixPath('a'), PosixPath('b')])
    """
    models = split_names(names)[1]
    parts = {f"{name}:{model}": model.removeprefix("local:").split("+") for name, model in models.items()}
    return {
        f"evaluation.metrics, {asked}, {number}": Path(folder)
        for asked, folders in parts.items()
        if ":openai:" not in asked
        for number, folder in enumerate(folders, 1)
    }


def load_named(name: str, model: str, knobs: config.Judge) -> Any:
    """The reader of such a metric.

    Raises:
        RadflowError: what was named is not there, or cannot be asked.
    """
    if name == "green":
        return load_grader(model, _GREEN, knobs)
    if name == "crimson":
        return load_grader(model, _crimson(model), knobs, local=False)
    return readers.load(f"{name}:{model}")


def _crimson(model: str) -> Grading:
    """As the package asks: its own model, which was tuned without them, is given no guidelines."""
    guidelines = model.rpartition("/")[2].removeprefix("openai:") != _CRIMSON_MODEL

    def ask(reference: str, generated: str) -> str:
        return crimson_question(reference, generated, guidelines=guidelines)

    return Grading(
        kind="crimson",
        version="0.2.0" if guidelines else "0.2.0, without guidelines",
        user=ask,
        read=read_crimson,
        system=_CRIMSON_SYSTEM,
        request={"response_format": {"type": "json_object"}, "seed": 42},
    )
