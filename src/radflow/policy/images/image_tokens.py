"""How many tokens an image may take, for processors that turn a larger image into more tokens.

A film of 3,000 x 2,500 pixels at full size is some 9,500 tokens to Qwen2.5-VL, 3,300 to InternVL and 2,900
to Idefics3. LLaVA, Gemma 3 and PaliGemma take a fixed number. What LLaVA-OneVision takes (up to 7,400 for a
single image, 730 for each of several) is in its model's configuration too, so it is not limited.
"""

from __future__ import annotations

import math
from typing import Any


def limit_image_tokens(processor: Any, most: int) -> None:
    """Set a processor so that an image takes at most about ``most`` tokens, or the fewest that it can.

    A lower limit of the processor's own stays. The settings are saved with the processor, so whoever
    loads the model later shows it images of the size that it was trained on.

    Args:
        processor: set in place.
        most: tokens of one image.
    """
    pictures = processor.image_processor
    if hasattr(pictures, "merge_size"):  # Qwen-VL: patches, merged two by two
        _limit_pixels(pictures, most * (pictures.patch_size * pictures.merge_size) ** 2)
    elif hasattr(pictures, "max_patches"):  # InternVL: tiles, and a thumbnail where there is more than one
        tiles = most // processor.image_seq_length - 1
        pictures.max_patches = min(pictures.max_patches, max(tiles, 1))
        pictures.min_patches = min(pictures.min_patches, pictures.max_patches)
    elif hasattr(pictures, "do_image_splitting"):  # Idefics3, SmolVLM: n x n tiles, and all of it once more
        side = math.isqrt(max(most // processor.image_seq_len - 1, 1))
        edge = side * pictures.max_image_size["longest_edge"]
        pictures.size = dict(pictures.size) | {"longest_edge": min(pictures.size["longest_edge"], edge)}


def _limit_pixels(pictures: Any, most: int) -> None:
    size = dict(pictures.size)
    longest = min(size["longest_edge"], most)
    pictures.size = size | {"longest_edge": longest, "shortest_edge": min(size["shortest_edge"], longest)}
