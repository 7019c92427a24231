"""The preallocated cache shows attention what the caches of transformers show it."""

import pytest
import torch
from transformers import LlamaConfig, MistralConfig, Qwen3NextConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from radflow.policy.sampling.cache import PreallocatedLayer, build_cache


@pytest.mark.parametrize("window", [None, 4, 6, 50])
@pytest.mark.parametrize("prompt", [1, 3, 4, 9])
def test_a_layer_shows_what_the_library_shows(window: int | None, prompt: int) -> None:
    ours = PreallocatedLayer(window)
    theirs = DynamicLayer() if window is None else DynamicSlidingWindowLayer(window)
    rows = torch.tensor([0, 0, 1])
    for step, tokens in enumerate([prompt, 1, 1, 1, 1, 1]):
        keys, values = torch.randn(2 if step == 0 else 3, 2, tokens, 4), torch.randn(3, 2, tokens, 4)
        values = values[: len(keys)]
        assert ours.get_mask_sizes(tokens) == theirs.get_mask_sizes(tokens)
        for mine, wanted in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(mine, wanted)
        assert ours.get_seq_length() == theirs.get_seq_length()
        if step == 0:
            ours.select(rows, room=5)
            theirs.batch_select_indices(rows)
    ours.select(torch.tensor([2, 0]))
    theirs.batch_select_indices(torch.tensor([2, 0]))
    assert ours.keys is not None
    assert theirs.keys is not None
    kept = theirs.keys.shape[-2]
    assert torch.equal(ours.keys[:, :, prompt + 5 - kept : prompt + 5], theirs.keys)


def test_layers_slide_where_the_configuration_says_so() -> None:
    whole = build_cache(LlamaConfig(num_hidden_layers=2))
    sliding = build_cache(MistralConfig(num_hidden_layers=2, sliding_window=8))
    assert whole is not None
    assert sliding is not None
    assert whole.is_sliding == [False, False]
    assert sliding.is_sliding == [True, True]


def test_a_layer_that_remembers_more_than_keys_and_values_is_declined() -> None:
    config = Qwen3NextConfig(num_hidden_layers=2, layer_types=["linear_attention", "full_attention"])
    assert build_cache(config) is None
