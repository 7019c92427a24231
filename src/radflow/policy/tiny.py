"""The embedded default: a LLaVA-type policy of about a million parameters, built from a configuration.

It takes exactly the code path of a 3B model: the same classes, processor, chat template, LoRA and generation.
Only its weights start from noise, so supervised fine-tuning trains all of them.

Initialisation decides whether such a model ever looks at its picture. With the defaults of the classes the
visual tokens enter the language model two orders of magnitude smaller than the words, and the policy stays
blind. So: a vision tower with ``initializer_factor=4``, position embeddings at 0.5, a projector that keeps
its input's scale, words at 0.06, and pixels standardised over the training images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from radflow.config import Tiny
from radflow.policy.assembly.assemble import CHAT_TEMPLATE, IMAGE, assemble
from radflow.policy.assembly.parts import Tower, load_tower
from radflow.studies.images import load_image

PAD, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
MAX_POSITIONS = 1_024
VISION_FACTOR = 4.0
POSITION_STD = 0.5
TEXT_STD = 0.06


def build_tiny(
    config: Tiny, folder: Path, *, texts: Iterable[str], images: Sequence[Path], seed: int
) -> LlavaForConditionalGeneration:
    """Build the model and its processor, save both to ``folder``, and return the model.

    Args:
        config: sizes.
        folder: where ``AutoModelForImageTextToText`` and ``AutoProcessor`` will find them.
        texts: prompts and reports of the training split; the vocabulary is learnt from them.
        images: some pictures of the training split; mean and spread of pixels are measured on them.
        seed: of the weights.
    """
    tokenizer = train_tokenizer(texts, config.vocabulary)
    if config.tower is not None:
        return _on_tower(config, config.tower, tokenizer, folder, seed)
    processor = LlavaProcessor(
        image_processor=standardised(config.edge, images),
        tokenizer=tokenizer,
        patch_size=config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(_model_config(config, tokenizer))
        _initialise(model)
    model.generation_config = GenerationConfig(
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id
    )
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return model


def make_tower(config: Tiny, images: Sequence[Path]) -> Tower:
    """The vision tower of these sizes: the pretrained one that they name, or a fresh one with its own pixels.

    Args:
        config: sizes.
        images: some pictures of the training split; mean and spread of pixels are measured on them.
    """
    if config.tower is not None:
        return load_tower(config.tower, config.image_size)
    model = CLIPVisionModel(_vision_config(config))
    nn.init.normal_(model.embeddings.position_embedding.weight, std=POSITION_STD)
    return Tower(
        name="tiny",
        model=model,
        image_processor=standardised(config.edge, images),
        image_size=config.edge,
        patches=(config.edge // config.patch_size) ** 2,
        others=1,
        width=config.vision_width,
    )


def _on_tower(
    config: Tiny, tower: str, tokenizer: PreTrainedTokenizerFast, folder: Path, seed: int
) -> LlavaForConditionalGeneration:
    """The tiny language model behind a pretrained tower."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return assemble(
            load_tower(tower, config.image_size),
            LlamaForCausalLM(text_config(config, tokenizer)),
            tokenizer,
            folder,
            tokens=config.image_tokens,
            spread=1.0,
        ).model


def train_tokenizer(texts: Iterable[str], vocabulary: int, *, image: str = IMAGE) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer: frequent words become one token, any text survives a round trip.

    Args:
        texts: whose words it learns.
        vocabulary: the most tokens.
        image: the token that stands for a picture.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=3,
        special_tokens=[PAD, END, image, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        extra_special_tokens={"image_token": image},
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_POSITIONS,
    )


def standardised(edge: int, images: Sequence[Path]) -> CLIPImageProcessorPil:
    """What makes squares of ``edge`` pixels out of pictures, their numbers standardised over ``images``."""
    pixels = np.concatenate([load_image(path).ravel()[::7] for path in images])
    mean, spread = float(pixels.mean()), max(float(pixels.std()), 1e-3)
    size = {"height": edge, "width": edge}
    return CLIPImageProcessorPil(
        size=size, do_center_crop=False, image_mean=[mean] * 3, image_std=[spread] * 3, do_convert_rgb=True
    )


def _model_config(config: Tiny, tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    return LlavaConfig(
        vision_config=_vision_config(config),
        text_config=text_config(config, tokenizer),
        image_token_index=tokenizer.vocab[IMAGE],
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )


def _vision_config(config: Tiny) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=config.vision_width,
        intermediate_size=4 * config.vision_width,
        num_hidden_layers=config.vision_layers,
        num_attention_heads=config.heads,
        image_size=config.edge,
        patch_size=config.patch_size,
        initializer_factor=VISION_FACTOR,
    )


def text_config(config: Tiny, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The small language model, with the words of a tokenizer of `train_tokenizer`."""
    return LlamaConfig(
        hidden_size=config.text_width,
        intermediate_size=3 * config.text_width,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.heads,
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=TEXT_STD,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )


@torch.no_grad()
def _initialise(model: LlavaForConditionalGeneration) -> None:
    """The part of the initialisation that no configuration field reaches."""
    nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight, std=POSITION_STD)
    for layer in (model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(layer.bias)
