"""The two published folders of CheXpert Plus as one policy; and the same two models, small and from noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    BertConfig,
    BertTokenizer,
    GenerationConfig,
    Swinv2Config,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)
from transformers.tokenization_utils_base import AddedToken

from radflow import config
from radflow.baselines.chexpert_plus.model import (
    HEADERS,
    SECTIONS,
    SectionsConfig,
    SectionsForConditionalGeneration,
)
from radflow.errors import DataError, MissingFileError
from radflow.folders import check_model
from radflow.policy.cross_attention import FilmProcessor, begin_template
from radflow.policy.pretrained import load_pretrained
from radflow.policy.processors import IMAGES, TOKENIZER
from radflow.policy.tiny import standardised

_WORD_FACTS = ("do_lower_case", "tokenize_chinese_chars", "strip_accents")
"""What a tokenizer does to text before it looks words up."""
LAYERS = 2
"""Of the published decoders."""


def convert_chexpert_plus(sources: Sequence[Path], folder: Path) -> list[str]:
    """Write the published findings model and impression model as one policy.

    Args:
        sources: their folders, as the hub lays them out: the findings model's first.
        folder: where the policy is written.

    Returns:
        what of the weights was not needed, a line each.

    Raises:
        MissingFileError: a folder lacks a file, or there are not two.
        DataError: a model is damaged or incomplete, of another kind, or the two see pictures unlike.
    """
    if len(sources) != len(SECTIONS):
        raise MissingFileError(
            f"chexpert-plus: expected two folders, of the findings model and of the impression model; got "
            f"{len(sources)}"
        )
    for place, own, other in zip(sources, SECTIONS, reversed(SECTIONS), strict=True):
        if other in place.name and own not in place.name:
            raise DataError(f"{place}: expected the {own} model here; the findings model comes first")
    parts, notes = [], []
    for place in sources:
        check_model(place)
        left: list[str] = []
        model = load_pretrained(
            VisionEncoderDecoderModel, str(place), dtype=torch.float32, pickled=True, left=left
        )
        notes += [f"{place}: left out {name}, which the model has no place for" for name in left]
        parts.append((place, model, _tokenizer(place), _pixels(place, model)))
    (first, _, words, pixels), (second, _, other_words, others) = parts
    for fact in _WORD_FACTS:
        if getattr(words, fact) != getattr(other_words, fact):
            raise DataError(
                f"{second}: expected {fact} = {getattr(words, fact)} in {TOKENIZER}, as {first} has it; got "
                f"{getattr(other_words, fact)}"
            )
    if _pixel_facts(pixels) != _pixel_facts(others):
        raise DataError(
            f"{second}: expected pictures prepared as for {first}, got other settings in {IMAGES}; the two "
            "models were not made to be used together"
        )
    write_sections([(model, tokenizer) for _, model, tokenizer, _ in parts], words, pixels, folder)
    return notes


def build_chexpert_plus(
    knobs: config.Policy, folder: Path, *, texts: Iterable[str], images: Sequence[Path], seed: int
) -> SectionsForConditionalGeneration:
    """Build both models small and untrained, with one vocabulary; save them to ``folder``.

    Args:
        knobs: sizes are those of ``tiny``; the decoders have two layers, as the published ones do.
        folder: where ``AutoModelForImageTextToText`` and ``AutoProcessor`` will find them.
        texts: reports of the training split, from which the vocabulary is learnt.
        images: some of its pictures; mean and spread of pixels are measured on them.
        seed: of the weights.
    """
    sizes = knobs.tiny
    if sizes.tower is not None:
        raise DataError("policy.tiny.tower: chexpert-plus has towers of its own; leave it out")
    if sizes.vision_width % 2:
        raise DataError(f"policy.tiny.vision_width: expected an even number, got {sizes.vision_width}")
    blank: Any = BertTokenizer()
    words = blank.train_new_from_iterator(texts, sizes.vocabulary, show_progress=False)
    vision = Swinv2Config(
        image_size=sizes.edge,
        patch_size=max(1, sizes.patch_size // 2),  # the second stage merges two by two
        embed_dim=sizes.vision_width // 2,
        depths=[1, max(1, sizes.vision_layers - 1)],
        num_heads=[max(1, sizes.heads // 2), sizes.heads],
        window_size=4,
    )
    text = BertConfig(
        vocab_size=len(words),
        hidden_size=sizes.text_width,
        intermediate_size=4 * sizes.text_width,
        num_hidden_layers=LAYERS,
        num_attention_heads=sizes.heads,
        max_position_embeddings=1_024,
        pad_token_id=words.pad_token_id,
    )
    settings = VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        models = [VisionEncoderDecoderModel(type(settings)(**settings.to_dict())) for _ in SECTIONS]
    pixels = standardised(sizes.edge, images)
    return write_sections([(model, words) for model in models], words, pixels, folder)


def write_sections(
    parts: Sequence[tuple[VisionEncoderDecoderModel, Any]], words: Any, pixels: Any, folder: Path
) -> SectionsForConditionalGeneration:
    """Put a findings and an impression model together and write them, with one vocabulary, to a folder.

    Args:
        parts: the two models, each with its tokenizer.
        words: a tokenizer that is extended by what the two have beside its words.
        pixels: the image processor of both.
        folder: where to write.
    """
    (findings, _), (impression, _) = parts
    lists = [sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get) for _, tokenizer in parts]
    ends = [tokenizer.convert_ids_to_tokens(_end(model, tokenizer)) for model, tokenizer in parts]
    words = _with_words(words, [word for own in lists for word in own])
    template = begin_template(words)
    headers = [AddedToken(header, normalized=False, rstrip=True, lstrip=True) for header in HEADERS]
    words.add_tokens(headers)
    text: Any = findings.config.decoder
    settings = SectionsConfig(
        findings=findings.config,
        impression=impression.config,
        vocab_size=len(words),
        hidden_size=text.hidden_size,
        num_hidden_layers=text.num_hidden_layers,
        header_ids=words.convert_tokens_to_ids(list(HEADERS)),
        own_ids=[[t.cls_token_id, _end(model, t), t.unk_token_id, t.pad_token_id] for model, t in parts],
        own_sizes=[len(own) for own in lists],
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.convert_tokens_to_ids(ends[0]),
    )
    with torch.device("meta"):
        model = SectionsForConditionalGeneration(settings)
    model.findings, model.impression = findings, impression
    for name, own, end in zip(SECTIONS, lists, ends, strict=True):
        ids = torch.tensor(words.convert_tokens_to_ids([ends[0] if word == end else word for word in own]))
        setattr(model, f"{name}_words", ids)
    model.generation_config = GenerationConfig(
        pad_token_id=settings.pad_token_id,
        bos_token_id=settings.bos_token_id,
        eos_token_id=settings.eos_token_id,
    )
    FilmProcessor(pixels, words, chat_template=template, most_images=1).save_pretrained(folder)
    model.save_pretrained(folder)
    return model


def _with_words(tokenizer: Any, words: Iterable[str]) -> Any:
    """A tokenizer that cuts text into these words too: `add_tokens` would find them inside others."""
    vocabulary = dict(tokenizer.get_vocab())
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    if len(vocabulary) == len(tokenizer):
        return tokenizer
    special = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    settings = {name: getattr(tokenizer, name) for name in (*_WORD_FACTS, *special)}
    return BertTokenizer(vocab=vocabulary, **settings)


def _end(model: VisionEncoderDecoderModel, tokenizer: Any) -> int:
    """The token that ends a section: what the published snippet takes, or else the tokenizer's."""
    named = getattr(model.config, "eos_token_id", None)
    return tokenizer.sep_token_id if named is None else named


def _tokenizer(place: Path) -> Any:
    try:
        tokenizer: Any = BertTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingFileError(
            f"{place}: expected BERT's tokenizer (vocab.txt, {TOKENIZER}), found none that is whole "
            f"({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes of none
        raise MissingFileError(f"{place}: expected BERT's tokenizer (vocab.txt, {TOKENIZER}), found no words")
    return tokenizer


def _pixels(place: Path, model: VisionEncoderDecoderModel) -> Any:
    """The image processor of a folder, giving pictures of the size that its encoder is made for."""
    try:
        pixels: Any = AutoImageProcessor.from_pretrained(place, backend="pil")
    except (OSError, ValueError, KeyError) as error:
        raise MissingFileError(
            f"{place}: expected {IMAGES}, found none that is whole ({str(error).splitlines()[0]})"
        ) from None
    encoder: Any = model.config.encoder
    edge = encoder.image_size
    height, width = edge if isinstance(edge, (list, tuple)) else (edge, edge)
    pixels.size = {"height": height, "width": width}
    return pixels


def _pixel_facts(pixels: Any) -> dict[str, Any]:
    names = ("size", "do_resize", "resample", "do_rescale", "rescale_factor", "do_normalize")
    return {name: getattr(pixels, name, None) for name in (*names, "image_mean", "image_std")}
