"""``radflow merge``: an adapter folded into its base model, as one folder that needs no PEFT.

Its card is the run's, or what the adapter folder itself says of its training.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from radflow.config import Recipe, load_recipe
from radflow.errors import DataError, MissingFileError
from radflow.files import write_atomic
from radflow.folders import check_model, replaced_folder, sweep
from radflow.run.named_model import look_for_model, model_in
from radflow.studies.training_facts import FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Number = Literal["auto", "float32", "bfloat16", "float16"]

_MERGED = "**Merged**: the LoRA adapter is folded into the weights of its base model, {base}.\n\n"
_CHANGED = (
    ('library_name: "peft"', 'library_name: "transformers"'),
    ('base_model_relation: "adapter"', 'base_model_relation: "finetune"'),
    (', "lora"]', "]"),
)
"""In the head of a card that radflow wrote for an adapter."""
_UNKNOWN = """\
---
library_name: "transformers"
pipeline_tag: "image-text-to-text"
---

# A merged model

{merged}The adapter folder had no model card of radflow, so nothing is said here about its data, its training
and how well it does. Research only. Not for diagnosis.

"""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter folder, with its run and stage if it lies in a run's folder."""

    folder: Path
    run: Path | None
    stage: Literal["sft", "rft"] | None


def merge_command(screen: Console, model: Path, out: Path, base: str | None, dtype: Number) -> None:
    """Find the adapter, merge it, and write model, processor and card.

    Raises:
        MissingFileError: there is no model, or its base model is not to be found.
        DataError: it is whole already, not of this base model, or ``out`` holds something.
        NotWritableError: ``out`` cannot be written.
    """
    adapter = find_adapter(model)
    check_model(adapter.folder)
    check_out(out)

    sweep(out.absolute().parent, out.name)

    whole, processor, name = merged(adapter.folder, base, dtype)
    with replaced_folder(out.absolute()) as fresh:
        whole.save_pretrained(fresh)
        processor.save_pretrained(fresh)
        write_merged_card(adapter, name, fresh)
    screen.print(f"merged {adapter.folder} with {name} into {out}", markup=False)


def find_adapter(path: Path) -> Adapter:
    """The adapter folder behind a path.

    Raises:
        MissingFileError: no model there.
        DataError: the model there is whole: nothing to merge.
    """
    if (folder := model_in(path)) is None:
        raise MissingFileError(f"{path}: expected a run's folder, or a PEFT folder with adapter_config.json")
    if not (folder / "adapter_config.json").is_file():
        raise DataError(
            f"{folder}: expected an adapter (adapter_config.json), got a whole model: it is merged "
            "already, or was trained whole; use it as it is"
        )
    stage, run = folder.absolute().parent, folder.absolute().parent.parent
    of_run = folder.name == "model" and stage.name in ("sft", "rft") and (run / "recipe.toml").is_file()
    name: Literal["sft", "rft"] = "rft" if stage.name == "rft" else "sft"
    return Adapter(folder=folder, run=run if of_run else None, stage=name if of_run else None)


def check_out(out: Path) -> None:
    """Refuse a place that holds something.

    Raises:
        DataError: it is a file, or a folder that is not empty.
    """
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: expected a new or an empty folder, got one that holds files; choose another")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: expected a new or an empty folder, got a file; choose another")


def merged(folder: Path, base: str | None, dtype: Number) -> tuple[PreTrainedModel, Any, str]:
    """The whole model of an adapter folder and its base model, its processor, and the base model's name.

    The base may be an image-text-to-text model, or a causal language model: a local judge.

    Raises:
        MissingFileError: the base model is not to be found.
        DataError: the adapter is of another base model, or holds weights that are not numbers.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    from radflow.policy.adapters import put_on
    from radflow.policy.load import base_of
    from radflow.policy.pretrained import load_pretrained

    name = base or base_of(folder)
    config = _base_config(folder, name)
    sees = type(config) in AutoModelForImageTextToText._model_mapping
    kind = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    try:
        model = load_pretrained(kind, name, dtype=torch.float32)
    except MissingFileError as error:
        raise _no_base(folder, name, error) from None
    try:
        whole = put_on(model, folder).merge_and_unload(safe_merge=True)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder}: {str(error).splitlines()[0]}; save the adapter again") from None
    number = config.dtype if dtype == "auto" else getattr(torch, dtype)
    return whole.to(number or torch.float32), _processor(folder, name, sees=sees), name


def _base_config(folder: Path, name: str) -> Any:
    from transformers import AutoConfig

    from radflow.policy.forms import know_form

    if (Path(name) / "adapter_config.json").is_file():
        raise DataError(f"{name}: expected a whole model as the base, got an adapter; merge that one first")
    try:
        if not Path(name).is_dir():
            look_for_model(name)  # once and briefly: transformers would try for minutes
        know_form(name)
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise _no_base(folder, name, error) from None


def _no_base(folder: Path, name: str, error: Exception) -> MissingFileError:
    return MissingFileError(
        f"{folder}: expected its base model at {name}, found none ({str(error).splitlines()[0]}); "
        "name its folder with --base"
    )


def _processor(folder: Path, base: str, *, sees: bool) -> Any:
    """The adapter folder's processor or tokenizer, or else the base model's."""
    from transformers import AutoTokenizer

    from radflow.policy.processors import has_processor, load_processor

    if sees:
        return load_processor(folder if has_processor(folder) else base)
    return AutoTokenizer.from_pretrained(
        str(folder) if (folder / "tokenizer_config.json").is_file() else base
    )


def write_merged_card(adapter: Adapter, base: str, folder: Path) -> None:
    """Write the card of a merged model into its folder, and the prompt's knobs where they are known."""
    from radflow.policy.processors import has_processor, load_processor
    from radflow.run.model_card import CARD, write_card

    run, source, recipe = adapter.run, adapter.folder, Recipe()
    if (source / FILE).is_file():
        shutil.copyfile(source / FILE, folder / FILE)
    if run is not None and adapter.stage is not None and (run / "prepare" / "studies.jsonl").is_file():
        return write_card(run, adapter.stage, folder, kind="merged")
    if (source / "recipe.toml").is_file():
        recipe = load_recipe(source / "recipe.toml")
        shutil.copyfile(source / "recipe.toml", folder / "recipe.toml")
    known = (source / CARD).read_text(encoding="utf-8") if (source / CARD).is_file() else ""
    processor = load_processor(folder) if has_processor(folder) else None  # a language model has none
    return write_atomic(folder / CARD, merged_card(known, base, recipe, folder, processor))


def merged_card(known: str, base: str, recipe: Recipe, folder: Path, processor: Any = None) -> str:
    """The card of a merged model from that of its adapter, which may be empty or of another tool."""
    from radflow.run.model_card import LOADING, base_in_words, environment, loading

    said = _MERGED.format(base=base_in_words(base))
    if LOADING in known:
        head, mark, body = known.partition("\n---\n")
        for before, after in _CHANGED:
            head = head.replace(before, after)
        title, _, rest = body.partition(LOADING)[0].lstrip().partition("\n\n")
        text = f"{head}{mark}\n{title}\n\n{said}{rest}"
    else:
        text = _UNKNOWN.format(merged=said)
    template = environment().get_template("loading.jinja")
    return text + template.render(
        **loading("merged", recipe, base, processor, folder), obstacles=[], images_per_study=1
    )
