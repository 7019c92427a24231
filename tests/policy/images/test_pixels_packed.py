from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from radflow.policy.images.pixels_packed import pack, unpack


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def check(tensor: Tensor) -> dict[str, Tensor]:
    packed = pack({"a": tensor, "ids": torch.arange(3)})
    back = unpack(packed)
    assert set(back) == {"a", "ids"}
    assert (back["a"].dtype, back["a"].shape) == (tensor.dtype, tensor.shape)
    assert bits(back["a"]) == bits(tensor)
    return packed


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32)), st.integers(1, 60))
def test_every_bit_comes_back(values: np.ndarray, times: int) -> None:
    """NaN, infinities and the sign of zero included."""
    check(torch.from_numpy(np.tile(values, 50 * times)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("values", [200, 3_000, 90_000])
def test_every_bit_comes_back_whatever_the_type(dtype: torch.dtype, values: int) -> None:
    generator = torch.Generator().manual_seed(0)
    check(torch.randn(values, generator=generator).repeat(2).reshape(2, -1).to(dtype))


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (lambda: SiglipImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3), 3.9),
        (Qwen2VLImageProcessorPil, 1.9),
    ],
    ids=["siglip", "qwen2_vl"],
)
def test_what_processors_make_takes_a_quarter_or_half(make, least: float) -> None:
    picture = Image.effect_noise((300, 340), 80).convert("RGB")
    tensor = make()(images=[picture], return_tensors="pt")["pixel_values"]
    packed = check(tensor)
    assert "a#index" in packed
    assert tensor.nbytes / sum(t.nbytes for name, t in packed.items() if name != "ids") > least


def test_what_would_not_shrink_stays_as_it_is() -> None:
    assert set(check(torch.zeros(10))) == {"a", "ids"}
    assert set(check(torch.randn(100_000))) == {"a", "ids"}
    assert set(check(torch.arange(5_000))) == {"a", "ids"}
