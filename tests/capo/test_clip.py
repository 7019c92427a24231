"""Eq. 9."""

import pytest
import torch

from radflow.capo import clip_range


def test_clip_range_is_equation_9() -> None:
    assert clip_range(torch.tensor([True, False]), 0.2, 4.0).tolist() == pytest.approx([0.05, 0.2])
    assert clip_range(torch.tensor([True, False]), 0.2, 1.0).tolist() == pytest.approx([0.2, 0.2])
    with pytest.raises(ValueError):
        clip_range(torch.tensor([True]), 1.5)
    with pytest.raises(ValueError):
        clip_range(torch.tensor([True]), 0.2, 0.5)
