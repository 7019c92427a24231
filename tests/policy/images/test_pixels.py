"""Which processors cut the ends of a picture off, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from radflow.policy import Policy, PromptEncoder
from radflow.policy.images.pixels import crops_ends, squared
from radflow.studies import Study

CROPS = {
    "clip": (CLIPImageProcessorPil, True),
    "llava": (LlavaImageProcessorPil, True),
    "llava_padded": (lambda: LlavaImageProcessorPil(do_pad=True), False),
    "clip_square": (lambda: CLIPImageProcessorPil(size={"height": 224, "width": 224}), False),
    "llava_next": (LlavaNextImageProcessorPil, False),
    "siglip": (SiglipImageProcessorPil, False),
    "gemma3": (Gemma3ImageProcessorPil, False),
    "idefics3": (Idefics3ImageProcessorPil, False),
    "smolvlm": (SmolVLMImageProcessorPil, False),
    "qwen2_vl": (Qwen2VLImageProcessorPil, False),
    "internvl": (GotOcr2ImageProcessorPil, False),
}


@pytest.mark.parametrize("name", CROPS)
def test_the_table_of_processors_that_crop(name: str) -> None:
    make, crops = CROPS[name]
    assert crops_ends(make()) is crops


@pytest.mark.parametrize("size", [(5, 5), (4, 9), (333, 100), (1, 7)])
def test_squaring_moves_pixels_and_changes_none(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (size[1], size[0], 3), dtype=np.uint8)
    square = np.asarray(squared(Image.fromarray(pixels)))
    side = max(size)
    assert square.shape == (side, side, 3)
    top, left = (int(np.argmax(square.any(axes))) for axes in ((1, 2), (0, 2)))
    assert np.array_equal(square[top : top + size[1], left : left + size[0]], pixels)
    assert square.astype(int).sum() == pixels.astype(int).sum()
    assert abs(2 * top - (side - size[1])) <= 1
    assert abs(2 * left - (side - size[0])) <= 1


@pytest.fixture
def wide(tmp_path: Path, studies: list[Study]) -> Study:
    """A study whose only picture is white at its left and right ends."""
    picture = Image.new("L", (80, 40), 255)
    picture.paste(0, (6, 0, 74, 40))
    picture.save(tmp_path / "wide.png")
    return replace(studies[0], images=(tmp_path / "wide.png",))


@pytest.fixture
def cropping(policy: Policy) -> Policy:
    """The tiny policy with the image processor of LLaVA 1.5."""
    policy.processor.image_processor = LlavaImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return policy


def test_the_ends_are_seen_unless_the_recipe_wants_them_cropped(
    cropping: Policy, wide: Study, knobs: Any
) -> None:
    def pixels(square: str) -> torch.Tensor:
        settings = knobs.model_copy(update={"image_square": square})
        return PromptEncoder(cropping.processor, settings)(wide).image_fields["pixel_values"]

    padded, cropped = pixels("pad"), pixels("crop")
    assert padded.shape == cropped.shape == (1, 3, 32, 32)
    assert cropped[0, 0].unique().numel() == 1  # nothing but black
    assert padded[0, 0].amax() > padded[0, 0].amin() + 1


def test_a_processor_that_loses_nothing_gets_the_picture_as_it_is(
    policy: Policy, wide: Study, knobs: Any
) -> None:
    both = [
        PromptEncoder(policy.processor, knobs.model_copy(update={"image_square": square}))(wide)
        for square in ("pad", "crop")
    ]
    assert torch.equal(both[0].image_fields["pixel_values"], both[1].image_fields["pixel_values"])
