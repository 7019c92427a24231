"""The model card of a merged model: the run's, or what the adapter folder itself says of its training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from radflow.config import Recipe, load_recipe
from radflow.files import write_atomic
from radflow.policy.processors import has_processor, load_processor
from radflow.run.loading_lines import loading_lines, vllm_line
from radflow.run.model_card import (
    CARD,
    LOADING,
    base_in_words,
    environment,
    hub_name,
    pads_pictures,
    write_card,
)
from radflow.studies.training_facts import FILE

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


def write_merged_card(
    adapter: Path, run: Path | None, stage: Literal["sft", "rft"] | None, base: str, folder: Path
) -> None:
    """Write the card of a merged model into its folder, and the prompt's knobs where they are known.

    Args:
        adapter: the folder that was merged.
        run: the run it lies in, if it does.
        stage: of that run.
        base: name or folder of the base model.
        folder: of the merged model.
    """
    if (adapter / FILE).is_file():
        shutil.copyfile(adapter / FILE, folder / FILE)
    if run is not None and stage is not None and (run / "prepare" / "studies.jsonl").is_file():
        return write_card(run, stage, folder, kind="merged")
    recipe = Recipe()
    if (adapter / "recipe.toml").is_file():
        recipe = load_recipe(adapter / "recipe.toml")
        shutil.copyfile(adapter / "recipe.toml", folder / "recipe.toml")
    known = (adapter / CARD).read_text(encoding="utf-8") if (adapter / CARD).is_file() else ""
    processor = load_processor(folder) if has_processor(folder) else None  # a language model has none
    return write_atomic(folder / CARD, merged_card(known, base, recipe, processor))


def merged_card(known: str, base: str, recipe: Recipe, processor: Any = None) -> str:
    """The card of a merged model from that of its adapter, which may be empty or of another tool."""
    said = _MERGED.format(base=base_in_words(base))
    if LOADING in known:
        head, mark, body = known.partition("\n---\n")
        for before, after in _CHANGED:
            head = head.replace(before, after)
        title, _, rest = body.partition(LOADING)[0].lstrip().partition("\n\n")
        text = f"{head}{mark}\n{title}\n\n{said}{rest}"
    else:
        text = _UNKNOWN.format(merged=said)
    policy = recipe.policy
    loading = (
        environment()
        .get_template("loading.jinja")
        .render(
            kind="merged",
            loading_heading=LOADING,
            code=loading_lines(
                "merged",
                base="",
                prompt=policy.prompt,
                most=policy.max_new_tokens,
                processor=processor,
                pads=processor is not None and pads_pictures(processor, recipe),
            ),
            vllm=vllm_line("merged", base="", rank=policy.lora_rank, images=1),
            context=policy.prompt_context,
            obstacles=[],
            public_base=hub_name(base) is not None,
            base=base_in_words(base),
        )
    )
    return text + loading
