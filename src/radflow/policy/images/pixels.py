"""Keep the whole picture visible: if a model's processor would crop its ends, it is padded first.

Some processors resize to a square and distort (SigLIP, Gemma 3, the tiny policy), some keep the proportions
and tile or pad (Qwen-VL, Idefics3, SmolVLM, InternVL, LLaVA-NeXT): these lose nothing. Those of CLIP, and of
LLaVA 1.5 with it, resize the shorter edge and crop the middle: a radiograph of 2500 x 3050 pixels loses 9 %
of its height at each end, and with it apices or costophrenic angles, without a warning.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image, ImageOps

_LONG, _SHORT, _END = 128, 64, 8


def crops_ends(image_processor: Any) -> bool:
    """Whether an image processor cuts the ends of the longer side off.

    Found by trial: the processor is given two pictures that differ only at these ends.
    """
    black = Image.new("RGB", (_LONG, _SHORT))
    marked = Image.new("RGB", (_LONG, _SHORT), "white")
    marked.paste((0, 0, 0), (_END, 0, _LONG - _END, _SHORT))
    seen = [image_processor(images=[picture], return_tensors="pt") for picture in (black, marked)]
    return all(torch.equal(seen[0][name], seen[1][name]) for name in seen[0])


def squared(picture: Image.Image) -> Image.Image:
    """The picture in the middle of a black square as wide as its longer side; its pixels stay as they are.

    >>> squared(Image.new("RGB", (4, 2), "white")).size
    (4, 4)
    """
    side = max(picture.size)
    return picture if picture.size == (side, side) else ImageOps.pad(picture, (side, side))
