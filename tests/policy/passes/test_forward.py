"""Which way the groups go, and that it never shows in the numbers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from radflow.config import Policy as PolicyKnobs
from radflow.policy import (
    GroupForward,
    Policy,
    completion_logprobs,
    families,
    group_logprobs,
    load_policy,
)
from radflow.policy.families import bare
from radflow.policy.groups import Completion, Group
from radflow.policy.passes import attention, forward, packing
from radflow.policy.passes.forward import nudged_inputs
from radflow.studies import Study

TAILS = ((tuple(range(5, 21)), (7,)), ((6, 6, 8, 5, 1), tuple(range(30, 16, -1))), ((4, 1), (9, 9, 9)))


@pytest.fixture
def tuned(folder: Path, knobs: PolicyKnobs) -> Policy:
    """A policy whose adapter does something."""
    policy = load_policy(folder, knobs, adapter="fresh")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.1)
    policy.model.eval()
    return policy


@pytest.fixture
def groups(studies: list[Study]) -> list[Group]:
    return [
        Group(
            study=study,
            completions=tuple(Completion(text="", token_ids=ids, finished=True) for ids in tails),
        )
        for study, tails in zip(studies, TAILS, strict=True)
    ]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def rows(tuned: Policy) -> list[int]:
    """How many rows each pass through the model had."""
    seen: list[int] = []
    bare(tuned.model).register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    return seen


def plain(policy: Policy, groups: list[Group]) -> Tensor:
    prompts = [policy.encoder(g.study) for g in groups for _ in g.completions]
    completions = [c.token_ids for g in groups for c in g.completions]
    return completion_logprobs(policy.model, prompts, completions, pad_id=policy.pad_id)[0]


def test_groups_share_their_prefixes_after_one_look_both_ways(
    tuned: Policy, groups: list[Group], said: list[str], rows: list[int]
) -> None:
    run = GroupForward(tuned, say=said.append)
    values, mask = run(groups)
    assert rows == [1] * 6  # four completions one by one, their two groups packed, then all groups
    run(groups[:1])
    assert rows[6:] == [1]
    assert torch.allclose(values, plain(tuned, groups), atol=1e-5)
    assert mask.sum(1).tolist() == [len(ids) for tails in TAILS for ids in tails]
    assert not said


def test_features_are_computed_once_a_study(tuned: Policy, groups: list[Group], said: list[str]) -> None:
    looked: list[int] = []
    bare(tuned.model).model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: looked.append(1), with_kwargs=True
    )
    run = GroupForward(tuned, say=said.append)
    values, _ = run(groups)
    before = len(looked)
    again, _ = run(groups)
    assert len(looked) == before == len(groups) + 4  # and the plain look at four completions
    assert torch.equal(values, again)
    assert torch.allclose(values, plain(tuned, groups), atol=1e-5)
    assert not said


def test_the_reference_policy_and_training_mode_go_the_same_way(
    tuned: Policy, groups: list[Group], rows: list[int]
) -> None:
    run = GroupForward(tuned)
    tuned.model.train()
    with torch.no_grad(), tuned.as_reference():
        reference, _ = run(groups)
        assert torch.allclose(reference, plain(tuned, groups), atol=1e-5)
    assert tuned.model.training
    current, _ = run(groups)
    assert rows[-1] == 1
    assert (current - reference).abs().max() > 0.01
    current.sum().backward()
    assert all(p.grad is not None for p in tuned.model.parameters() if p.requires_grad)


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Completions see what comes after."""
    monkeypatch.setattr(
        attention, "_lower_right", lambda n, before, device: torch.ones(n, before + n, dtype=torch.bool)
    )


def shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Completions go on one position too far."""
    right = packing._continued
    monkeypatch.setattr(packing, "_continued", lambda positions, length: right(positions, length) + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("damage", [broken, shifted])
def test_a_wrong_number_is_caught(
    tuned: Policy,
    groups: list[Group],
    said: list[str],
    rows: list[int],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[pytest.MonkeyPatch], None],
    dtype: torch.dtype,
) -> None:
    damage(monkeypatch)
    tuned.model.to(dtype)
    run = GroupForward(tuned, say=said.append)
    for _ in range(2):
        values, _ = run(groups)
        assert rows[-1] == 6
    assert torch.equal(values, plain(tuned, groups))
    assert len(said) == 1
    assert "LlavaForConditionalGeneration: log-probabilities with shared prefixes are off by" in said[0]


def test_sixteen_bits_are_compared_with_what_they_cost_anyway(
    tuned: Policy, groups: list[Group], said: list[str], rows: list[int]
) -> None:
    exact = plain(tuned, groups)
    tuned.model.to(torch.bfloat16)
    rounded = plain(tuned, groups)
    with nudged_inputs(tuned.model):
        nudged = plain(tuned, groups)
    ratio = (nudged - rounded).abs().mean() / (rounded - exact).abs().mean()
    assert 1 / 3 < ratio < 3
    GroupForward(tuned, say=said.append)(groups)
    assert rows[-1] == 1
    assert not said


@pytest.mark.parametrize("way", ["unknown", "eager"])
def test_what_cannot_be_shared_goes_plain_and_says_so(
    tuned: Policy,
    groups: list[Group],
    said: list[str],
    rows: list[int],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    if way == "unknown":
        monkeypatch.setattr(families, "KNOWN", frozenset())
        words = "not a family that prefixes are shared for"
    else:
        bare(tuned.model).config.get_text_config()._attn_implementation = "eager"
        words = "sharing prefixes failed (expected a language model that attends by sdpa, got 'eager'"
    run = GroupForward(tuned, say=said.append)
    values, _ = run(groups)
    run(groups)
    assert rows[-2:] == [6, 6]
    assert torch.equal(values, plain(tuned, groups))
    assert len(said) == 1
    assert f"LlavaForConditionalGeneration: {words}" in said[0]
    simple, _ = group_logprobs(tuned.model, groups, tuned.encoder, pad_id=tuned.pad_id)
    assert torch.equal(simple, values)


def test_plain_on_request_says_nothing(
    tuned: Policy, groups: list[Group], said: list[str], rows: list[int]
) -> None:
    GroupForward(tuned, shared_prefix=False, say=said.append)(groups)
    assert rows == [6]
    assert not said


def test_running_out_of_memory_is_not_hidden(
    tuned: Policy, groups: list[Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(forward, "shared_prefix_logprobs", full)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        GroupForward(tuned)(groups)


@pytest.mark.parametrize("shared", [True, False])
def test_logits_of_a_group_give_its_log_probabilities(
    tuned: Policy, groups: list[Group], shared: bool
) -> None:
    run = GroupForward(tuned, temperature=0.7, shared_prefix=shared)
    for group in groups:
        with torch.no_grad():
            values, mask = run([group])
        tokens = torch.tensor([token for c in group.completions for token in c.token_ids])
        logits = run.logits(group)
        picked = logits.log_softmax(-1)[torch.arange(len(tokens)), tokens]
        assert torch.allclose(picked, values[mask], atol=1e-5)


@pytest.fixture
def one_process() -> Generator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_a_data_parallel_wrapper_sees_the_pass(tuned: Policy, groups: list[Group], said: list[str]) -> None:
    wrapped = DistributedDataParallel(tuned.model)
    passes: list[int] = []
    wrapped.register_forward_pre_hook(lambda *_: passes.append(1))
    run = GroupForward(tuned, model=wrapped, say=said.append)
    values, _ = run(groups)
    values.sum().backward()
    assert passes == [1]
    trained = [p for p in tuned.model.parameters() if p.requires_grad]
    ours = torch.cat([p.grad.flatten() for p in trained])
    theirs = torch.autograd.grad(plain(tuned, groups).sum(), trained)
    whole = torch.cat([g.flatten() for g in theirs])
    assert (ours - whole).norm() < 1e-4 * whole.norm()
    assert not said


def test_group_logprobs_shares_prefixes(tuned: Policy, groups: list[Group], rows: list[int]) -> None:
    values, _ = group_logprobs(tuned.model, groups, tuned.encoder, pad_id=tuned.pad_id)
    assert rows == [1]
    assert torch.allclose(values, plain(tuned, groups), atol=1e-5)
