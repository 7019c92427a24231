"""From a study to the model's inputs, once per study.

Every study is encoded alone: the processor sees one prompt and its pictures, and what it returns is kept. A
batch then pads what belongs to tokens and joins what belongs to pictures, which LLaVA, Qwen-VL, InternVL,
Gemma3, Idefics3 and SmolVLM all lay out along their first axis. So the pictures of a study are decoded and
resized once, however often it is sampled, scored or trained on; where memory does not hold them all, the rest
is made ahead by other threads while the model works (`pixels_ahead`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from cachetools import LRUCache
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from radflow import config
from radflow.errors import DataError, MissingFileError
from radflow.policy.chat import chat_text, reply_type, starts_itself
from radflow.policy.images.feature_files import content_key
from radflow.policy.images.pixels import crops_ends, squared
from radflow.policy.images.pixels_ahead import Ahead
from radflow.studies import Study
from radflow.studies.images import to_pil


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt:
    """The prompt of one study.

    Attributes:
        input_ids: the prompt with its image tokens, ``(T,)``.
        token_fields: other inputs with one entry per token, e.g. ``token_type_ids``.
        image_fields: inputs that belong to the pictures, e.g. ``pixel_values``.
        reply_type: ``token_type_ids`` of what follows the prompt.
    """

    input_ids: Int[Tensor, "T"]
    token_fields: dict[str, Tensor]
    image_fields: dict[str, Tensor]
    reply_type: int = 0

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return sum(
            t.nbytes for t in (self.input_ids, *self.token_fields.values(), *self.image_fields.values())
        )

    @cached_property
    def image_key(self) -> str:
        """A hash of its pictures, as the model sees them."""
        return content_key(self.image_fields)


def prompt_text(study: Study, instruction: str, *, context: bool = True, prior: bool = False) -> str:
    """The words of the prompt: what is known beforehand, then the instruction.

    Args:
        study: says what is known.
        instruction: its last line.
        context: indication and comparison, if the study has them.
        prior: the report of the patient's previous study, if there is one.
    """
    lines = []
    if prior and study.prior_report:
        lines.append(f"Prior report: {study.prior_report}")
    if context and study.indication:
        lines.append(f"Indication: {study.indication}")
    if context and study.comparison:
        lines.append(f"Comparison: {study.comparison}")
    return "\n".join([*lines, instruction])


class PromptEncoder:
    """Encodes studies, keeping the results in a bounded memory.

    What it gives depends on the study alone, not on threads or memory.

    Args:
        processor: of the model.
        settings: the words of the prompt, its longest length, threads, what happens to oblong pictures.
        max_bytes: memory for encoded studies; the least recently used go first.
    """

    def __init__(self, processor: Any, settings: config.Policy, *, max_bytes: int = 2 * 1024**3) -> None:
        self._processor, self._settings = processor, settings
        self._pads = settings.image_square == "pad" and crops_ends(processor.image_processor)
        self._kept = LRUCache(max_bytes, getsizeof=lambda encoded: encoded.bytes)
        self._ahead = Ahead(processor, settings.image_workers) if settings.image_workers > 0 else None

    def __call__(self, study: Study) -> EncodedPrompt:
        """Encode one study.

        Raises:
            DataError: the study has no picture, one cannot be read, or the prompt is too long.
        """
        text = self._text(study)
        key = (study.images, text)
        if key in self._kept:
            return self._kept[key]
        made = self._ahead.take(key) if self._ahead is not None else None
        encoded = made or self._encode(self._processor, study, text)
        with suppress(ValueError):  # larger than the whole memory
            self._kept[key] = encoded
        return encoded

    def ahead(self, studies: Iterable[Study]) -> None:
        """Begin to encode the studies needed next; work begun earlier and not used is dropped.

        A study that cannot be encoded fails when it is called.
        """
        if self._ahead is None:
            return
        texts = [(study, self._text(study)) for study in studies]
        self._ahead.begin(
            {
                (study.images, text): partial(self._encode, study=study, text=text)
                for study, text in texts
                if (study.images, text) not in self._kept
            }
        )

    def _text(self, study: Study) -> str:
        asked = self._settings
        return prompt_text(study, asked.prompt, context=asked.prompt_context, prior=asked.prompt_prior)

    def _encode(self, processor: Any, study: Study, text: str) -> EncodedPrompt:
        if not study.images:
            raise DataError(f"study {study.study_id}: expected at least one image, found none")
        chat = chat_text(processor, text, images=len(study.images))
        begun = {"add_special_tokens": False} if starts_itself(processor, chat) else {}
        fields = processor(text=[chat], images=[self._pictures(study)], return_tensors="pt", **begun)
        encoded = _encoded(fields, reply_type(processor))
        if len(encoded.input_ids) > self._settings.max_prompt_tokens:
            raise DataError(
                f"study {study.study_id}: the prompt has {len(encoded.input_ids)} tokens, more than the "
                f"{self._settings.max_prompt_tokens} of policy.max_prompt_tokens; raise it, or lower "
                "policy.image_tokens (of one image) or data.max_images"
            )
        return encoded

    def _pictures(self, study: Study) -> list[Image.Image]:
        try:
            pictures = [to_pil(path) for path in study.images]
        except (DataError, MissingFileError) as error:
            # Each was decoded when the study was prepared, so this is no study to set aside in silence now.
            raise type(error)(
                f"study {study.study_id}: {error}; it changed or vanished after the study was prepared"
            ) from None
        return [squared(picture) for picture in pictures] if self._pads else pictures


def _encoded(fields: Any, reply: int) -> EncodedPrompt:
    """What a processor made of one prompt, told apart by shape."""
    ids = fields.pop("input_ids")
    for name in ("attention_mask", "labels"):  # PaliGemma's processor makes labels of its own
        fields.pop(name, None)
    per_token = {k: v[0] for k, v in fields.items() if v.shape == ids.shape}
    per_image = {k: v for k, v in fields.items() if k not in per_token}
    return EncodedPrompt(input_ids=ids[0], token_fields=per_token, image_fields=per_image, reply_type=reply)


def collate(
    prompts: Sequence[EncodedPrompt],
    completions: Sequence[Sequence[int]] | None = None,
    *,
    pad_id: int,
    left: bool = False,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """Join encoded prompts, each followed by its completion, into one padded batch of model inputs.

    Args:
        prompts: ``N`` encoded prompts; the same object may stand several times.
        completions: token ids that follow each prompt.
        pad_id: fills the rows.
        left: pad on the left, as generation wants it.
        device: where to put the batch.
    """
    tails = completions or [()] * len(prompts)
    rows = [
        torch.cat([p.input_ids, torch.tensor(tail, dtype=torch.long)])
        for p, tail in zip(prompts, tails, strict=True)
    ]
    length = max(map(len, rows))

    def padded(row: Tensor, value: int) -> Tensor:
        gap = (length - len(row), 0) if left else (0, length - len(row))
        return F.pad(row, gap, value=value)

    batch = {
        "input_ids": torch.stack([padded(row, pad_id) for row in rows]),
        "attention_mask": torch.stack([padded(torch.ones_like(row), 0) for row in rows]),
    }
    for name in prompts[0].token_fields:
        fields = [
            torch.cat([p.token_fields[name], p.token_fields[name].new_full((len(t),), p.reply_type)])
            for p, t in zip(prompts, tails, strict=True)
        ]
        batch[name] = torch.stack([padded(field, 0) for field in fields])
    batch |= join_images(prompts)
    return {name: tensor.to(device) for name, tensor in batch.items()}


def join_images(prompts: Sequence[EncodedPrompt]) -> dict[str, Tensor]:
    """Join the image inputs of some studies along their first axis.

    Idefics3 and SmolVLM lay a study's images along the second axis and drop those that are all zero, so a
    study with fewer images is filled up with zeros.
    """
    return {
        name: torch.cat(_same_size([p.image_fields[name] for p in prompts]))
        for name in prompts[0].image_fields
    }


def _same_size(fields: Sequence[Tensor]) -> list[Tensor]:
    sizes = [max(sizes) for sizes in zip(*(f.shape[1:] for f in fields), strict=True)]
    missing = [[want - have for want, have in zip(sizes, f.shape[1:], strict=True)] for f in fields]
    return [
        F.pad(f, [n for gap in reversed(gaps) for n in (0, gap)]) if any(gaps) else f
        for f, gaps in zip(fields, missing, strict=True)
    ]
