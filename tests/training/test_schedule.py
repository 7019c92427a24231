from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.training.schedule import (
    BUCKET,
    epoch_batches,
    rollout_order,
    warmup_cosine,
    warmup_stable_decay,
)

seeds = st.integers(0, 2**32)


@given(steps=st.integers(1, 200), warmup=st.integers(0, 50))
def test_the_rate_rises_to_its_peak_and_falls_to_the_floor(steps: int, warmup: int) -> None:
    rates = [warmup_cosine(step, steps=steps, warmup=warmup) for step in range(steps + 1)]
    assert all(0 < rate <= 1 for rate in rates)
    up, down = rates[:warmup], rates[warmup:]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    if warmup < steps:
        assert down[0] == pytest.approx(1.0)
        assert down[-1] == pytest.approx(0.1)


@given(warmup=st.integers(0, 50), stable=st.integers(1, 200), decay=st.integers(1, 50))
def test_the_rate_is_constant_until_it_decays(warmup: int, stable: int, decay: int) -> None:
    steps = stable + decay
    rates = [
        warmup_stable_decay(step, warmup=warmup, decay_from=stable, steps=steps) for step in range(steps)
    ]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[warmup:stable] == [1.0] * (stable - warmup)
    assert rates[stable:] == pytest.approx([left / (decay + 1) for left in range(decay, 0, -1)])


@given(lengths=st.lists(st.integers(1, 99), min_size=1, max_size=80), size=st.integers(1, 9), seed=seeds)
def test_an_epoch_takes_every_example_once(lengths: list[int], size: int, seed: int) -> None:
    batches = epoch_batches(lengths, size, seed=seed)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert all(1 <= len(batch) <= size for batch in batches)
    assert batches == epoch_batches(lengths, size, seed=seed)


@given(lengths=st.lists(st.integers(1, 99), min_size=8, max_size=4 * BUCKET), seed=seeds)
def test_within_a_bucket_batches_do_not_overlap_in_length(lengths: list[int], seed: int) -> None:
    batches = epoch_batches(lengths, 4, seed=seed)  # all in one bucket
    spans = sorted((min(lengths[i] for i in b), max(lengths[i] for i in b)) for b in batches)
    assert all(high <= low for (_, high), (low, _) in pairwise(spans))


def test_epochs_differ() -> None:
    lengths = [1] * 64
    assert epoch_batches(lengths, 4, seed=0) != epoch_batches(lengths, 4, seed=1)


@given(count=st.integers(1, 30), steps=st.integers(1, 20), size=st.integers(1, 9), seed=seeds)
def test_rollouts_see_every_study_equally_often(count: int, steps: int, size: int, seed: int) -> None:
    order = rollout_order(count, steps, size, seed=seed)
    assert [len(batch) for batch in order] == [size] * steps
    seen = Counter(dict.fromkeys(range(count), 0))
    seen.update(i for batch in order for i in batch)
    assert max(seen.values()) - min(seen.values()) <= 1
    assert order == rollout_order(count, steps, size, seed=seed)
