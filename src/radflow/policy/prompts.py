"""From a study to the model's inputs, once per study.

Every study is encoded alone: the processor sees one prompt and its pictures, and what it returns is kept. A
batch then pads what belongs to tokens and joins what belongs to pictures, which LLaVA, Qwen-VL, InternVL,
Gemma3, Idefics3 and SmolVLM all lay out along their first axis. So the pictures of a study are decoded and
resized once, however often it is sampled, scored or trained on; where memory does not hold them all, the rest
comes from a folder, or is made ahead by other threads while the model works (`pixels_ahead`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from radflow.errors import DataError, MissingFileError
from radflow.policy.chat import chat_text, reply_type, starts_itself
from radflow.policy.images.pixels import crops_ends, squared
from radflow.policy.images.pixels_ahead import Ahead
from radflow.policy.images.pixels_files import PixelFiles
from radflow.policy.load import Policy
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
    """Encodes studies, keeping the results in a bounded memory and, on request, on disk.

    What it gives depends on the study alone, not on threads, memory or folder.

    Args:
        policy: whose processor and chat template to use.
        instruction: the request that ends every prompt.
        context: whether indication and comparison are part of it.
        prior: whether the report of the patient's previous study is.
        max_tokens: a longer prompt is an error.
        max_bytes: memory for encoded studies; the least recently used go first.
        workers: threads that `ahead` keeps busy; 0 makes it do nothing.
        folder: also keep encoded studies here, for the whole run and the next.
        max_disk_bytes: bound of the folder.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        instruction: str,
        context: bool = True,
        prior: bool = False,
        max_tokens: int = 2_048,
        max_bytes: int = 2 * 1024**3,
        workers: int = 0,
        folder: Path | None = None,
        max_disk_bytes: int = 20 * 1024**3,
    ) -> None:
        self._processor = policy.processor
        self._pads = policy.image_square == "pad" and crops_ends(policy.processor.image_processor)
        self._instruction = instruction
        self._known = {"context": context, "prior": prior}
        self._max_tokens = max_tokens
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Any, ...], EncodedPrompt] = OrderedDict()
        self._used = 0
        self._ahead = Ahead(policy.processor, workers) if workers > 0 else None
        self._files = None
        if folder is not None:
            self._files = PixelFiles(
                folder, max_bytes=max_disk_bytes, processor=policy.processor, settings=self._pads
            )

    def __call__(self, study: Study) -> EncodedPrompt:
        """Encode one study.

        Raises:
            DataError: the study has no picture, one cannot be read, or the prompt is too long.
        """
        text = prompt_text(study, self._instruction, **self._known)
        key = (study.images, text)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._ahead.take(key) if self._ahead is not None else None
        encoded = made or self._encode(self._processor, study, text)
        self._kept[key] = encoded
        self._used += encoded.bytes
        while self._used > self._max_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._used -= oldest.bytes
        return encoded

    def ahead(self, studies: Iterable[Study]) -> None:
        """Begin to encode the studies needed next; work begun earlier and not used is dropped.

        A study that cannot be encoded fails when it is called.
        """
        if self._ahead is None:
            return
        wanted: dict[Hashable, Callable[[Any], EncodedPrompt]] = {}
        for study in studies:
            text = prompt_text(study, self._instruction, **self._known)
            key = (study.images, text)
            if key not in self._kept:
                wanted[key] = partial(self._encode, study=study, text=text)
        self._ahead.begin(wanted)

    def _encode(self, processor: Any, study: Study, text: str) -> EncodedPrompt:
        if not study.images:
            raise DataError(f"study {study.study_id}: expected at least one image, found none")
        chat = chat_text(processor, text, images=len(study.images))
        encoded = self._read(study, chat)
        if encoded is None:
            begun = {"add_special_tokens": False} if starts_itself(processor, chat) else {}
            pictures = [self._pictures(study)]
            encoded = _encoded(processor(text=[chat], images=pictures, return_tensors="pt", **begun))
            if self._files is not None:
                self._files.write(study.images, chat, _to_tensors(encoded))
        encoded = replace(encoded, reply_type=reply_type(processor))
        if len(encoded.input_ids) > self._max_tokens:
            raise DataError(
                f"study {study.study_id}: the prompt has {len(encoded.input_ids)} tokens, more than the "
                f"{self._max_tokens} of policy.max_prompt_tokens; raise it, or lower policy.image_tokens "
                "(of one image) or data.max_images"
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

    def _read(self, study: Study, chat: str) -> EncodedPrompt | None:
        held = self._files.read(study.images, chat) if self._files is not None else None
        return _from_tensors(held) if held is not None else None


def _encoded(fields: Any) -> EncodedPrompt:
    """What a processor made of one prompt, told apart by shape."""
    ids = fields.pop("input_ids")
    for name in ("attention_mask", "labels"):  # PaliGemma's processor makes labels of its own
        fields.pop(name, None)
    per_token = {k: v[0] for k, v in fields.items() if v.shape == ids.shape}
    per_image = {k: v for k, v in fields.items() if k not in per_token}
    return EncodedPrompt(input_ids=ids[0], token_fields=per_token, image_fields=per_image)


def _to_tensors(encoded: EncodedPrompt) -> dict[str, Tensor]:
    tokens = {f"token/{name}": tensor for name, tensor in encoded.token_fields.items()}
    images = {f"image/{name}": tensor for name, tensor in encoded.image_fields.items()}
    return {"input_ids": encoded.input_ids, **tokens, **images}


def _from_tensors(tensors: Mapping[str, Tensor]) -> EncodedPrompt:
    fields: dict[str, dict[str, Tensor]] = {"token": {}, "image": {}}
    for name, tensor in tensors.items():
        kind, _, field = name.partition("/")
        if field:
            fields[kind][field] = tensor
    return EncodedPrompt(
        input_ids=tensors["input_ids"], token_fields=fields["token"], image_fields=fields["image"]
    )


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
