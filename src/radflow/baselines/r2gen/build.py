"""R2Gen, built small and untrained: what ``policy.model = "r2gen"`` starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig

from radflow import config
from radflow.baselines.r2gen.model import R2GenConfig, R2GenForConditionalGeneration, initialise
from radflow.policy.cross_attention import FilmProcessor, begin_template
from radflow.policy.tiny import make_tower, train_tokenizer


def build_r2gen(
    knobs: config.Policy, folder: Path, *, texts: Iterable[str], images: Sequence[Path], seed: int
) -> R2GenForConditionalGeneration:
    """Build the model and its processor, save both to ``folder``, and return the model.

    Args:
        knobs: sizes are those of ``tiny``; with ``tiny.tower`` a pretrained tower sees the pictures.
        folder: where ``AutoModelForImageTextToText`` and ``AutoProcessor`` will find them.
        texts: reports of the training split, from which the vocabulary is learnt.
        images: some of its pictures; mean and spread of pixels are measured on them.
        seed: of the weights.
    """
    sizes = knobs.tiny
    tokenizer = train_tokenizer(texts, sizes.vocabulary)
    template = begin_template(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = make_tower(sizes, images)
        settings = R2GenConfig(
            vision_config=tower.model.config,
            vision_width=tower.width,
            image_tokens=min(sizes.image_tokens, tower.patches) if sizes.tower is not None else None,
            vocab_size=len(tokenizer),
            hidden_size=sizes.text_width,
            intermediate_size=sizes.text_width,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=sizes.heads,
            memory_heads=sizes.heads,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        model = R2GenForConditionalGeneration(settings)
        initialise(model)
        model.vision_tower = tower.model
    model.generation_config = GenerationConfig(
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    FilmProcessor(tower.image_processor, tokenizer, chat_template=template).save_pretrained(folder)
    model.save_pretrained(folder)
    return model
