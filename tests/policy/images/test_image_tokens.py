"""A film in full size, through processors with the sizes of the published models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hub_folders import LAYOUTS, write_hub_folder
from radflow.policy.chat import chat_text
from radflow.policy.images.image_tokens import limit_image_tokens
from radflow.policy.processors import load_processor

FILM = Image.new("L", (2_500, 3_000), 90).convert("RGB")
TILES = {"size": {"longest_edge": 4 * 364}, "max_image_size": {"longest_edge": 364}}
SMALL_TILES = {"size": {"longest_edge": 4 * 512}, "max_image_size": {"longest_edge": 512}}
PUBLISHED: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "qwen2_5_vl": ({"patch_size": 14, "size": {"shortest_edge": 3_136, "longest_edge": 12_845_056}}, {}),
    "qwen3_vl": ({"patch_size": 16, "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}}, {}),
    "internvl": ({"size": {"height": 448, "width": 448}}, {"image_seq_length": 256}),
    "idefics3": (TILES, {"image_seq_len": 169}),
    "smolvlm": (SMALL_TILES, {"image_seq_len": 64}),
}
"""Sizes of the image processor, and of the processor around it."""
AS_THEY_COME = {
    "qwen2_5_vl": 9_523,
    "qwen3_vl": 7_332,
    "internvl": 3_328,
    "idefics3": 2_873,
    "smolvlm": 1_088,
}

LIMITED = {"qwen2_5_vl": 864, "qwen3_vl": 864, "internvl": 256, "idefics3": 845, "smolvlm": 640}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("published")
    return {family: write_hub_folder(family, root / family, texts=["Write."] * 4) for family in PUBLISHED}


def published(family: str, folder: Path) -> Any:
    processor = load_processor(folder)
    pictures, around = PUBLISHED[family]
    for name, value in pictures.items():
        setattr(processor.image_processor, name, value)
    for name, value in around.items():
        setattr(processor, name, value)
    return processor


def tokens(processor: Any, family: str) -> int:
    chat = chat_text(processor, "Write.", images=1)
    ids = processor(text=[chat], images=[[FILM]])["input_ids"][0]
    return list(ids).count(processor.tokenizer.convert_tokens_to_ids(LAYOUTS[family].image))


@pytest.mark.parametrize("family", PUBLISHED)
def test_a_film_takes_no_more_tokens_than_it_may(
    family: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    processor = published(family, folders[family])
    assert tokens(processor, family) == AS_THEY_COME[family]
    limit_image_tokens(processor, 900)
    limited = tokens(processor, family)
    assert LIMITED[family] == limited <= 900
    limit_image_tokens(processor, 5_000)  # what is narrow stays so
    processor.save_pretrained(tmp_path)
    assert tokens(load_processor(tmp_path), family) == limited
    limit_image_tokens(processor, 1)
    assert tokens(processor, family) <= 256


@pytest.mark.parametrize("family", ["llava", "gemma3", "paligemma", "llava_onevision"])
def test_a_fixed_number_stays_as_it_is(family: str, tmp_path: Path) -> None:
    processor = load_processor(write_hub_folder(family, tmp_path, texts=["Write."] * 4))
    before = processor.to_json_string()
    limit_image_tokens(processor, 1)
    assert processor.to_json_string() == before
