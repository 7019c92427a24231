"""Sampling a group of reports for each study, and greedy reports.

Families with a parity test go through the decoding engine of `radflow.policy.sampling.decode`; any other
through transformers' ``generate``, which is slower and means the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor

from radflow import config
from radflow.policy.families import bare, reserved_tokens
from radflow.policy.groups import Completion, Group
from radflow.policy.images.features import evaluating
from radflow.policy.load import Policy
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.policy.sampling.decode import Decoded, Sampling, can_decode, decode
from radflow.studies import Study

Item = TypeVar("Item")


def sample_groups(
    policy: Policy,
    studies: Sequence[Study],
    *,
    group_size: int,
    max_new_tokens: int,
    seeds: Sequence[int],
    temperature: float = 1.0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    rows_at_once: int = 256,
) -> list[Group]:
    """Sample ``group_size`` reports for each study.

    A study's reports follow from its seed, the weights and these settings, not from the studies beside it.

    ``Completion.logprobs`` are those of the policy at ``temperature`` over its whole vocabulary: what
    `completion_logprobs` gives, to 1e-4 in float32. In bfloat16 other shapes round differently (0.02 nats
    on small models), and one pass over the finished reports is the safer base of a ratio. With ``top_p``
    or ``min_p`` the tokens come from a narrower distribution than that of these log-probabilities. They are
    ``None`` for a model that `can_decode` does not know.

    Args:
        policy: samples.
        studies: one group each.
        group_size: G.
        max_new_tokens: longest report, end token included.
        seeds: one per study.
        temperature: the logits are divided by it.
        top_p: sample from the most likely tokens that together have this probability.
        min_p: tokens less likely than this share of the most likely one are not sampled.
        rows_at_once: bound on the rows decoded together.

    Raises:
        ValueError: not one seed per study.
        TrainingError: the policy's logits are not numbers.
    """
    if len(seeds) != len(studies):
        raise ValueError(f"expected one seed per study, got {len(seeds)} for {len(studies)} studies")
    how = Sampling(temperature=temperature, top_p=top_p, min_p=min_p)
    policy.encoder.ahead(studies)
    if not can_decode(policy.model):
        drawn = [
            _generate_group(policy, policy.prompt(study), group_size, max_new_tokens, how, seed)
            for study, seed in zip(studies, seeds, strict=True)
        ]
    else:
        drawn = []
        for some in batches(range(len(studies)), max(1, rows_at_once // group_size)):
            prompts, features = policy.seen([studies[i] for i in some])
            numbers = torch.cat([_uniforms(seeds[i], group_size, max_new_tokens) for i in some])
            decoded = decode(
                policy.model,
                prompts,
                copies=group_size,
                max_new_tokens=max_new_tokens,
                end_ids=policy.end_ids,
                pad_id=policy.pad_id,
                sampling=how,
                uniforms=numbers,
                features=features,
            )
            drawn.extend(batches(_completions(policy, decoded), group_size))
    return [
        Group(study=study, completions=tuple(completions))
        for study, completions in zip(studies, drawn, strict=True)
    ]


def greedy_reports(
    policy: Policy, studies: Sequence[Study], *, max_new_tokens: int, batch_size: int = 64
) -> Iterator[tuple[Study, Completion]]:
    """Yield one greedy report per study, in the order given; memory is bounded by the batch.

    Args:
        policy: writes the reports.
        studies: any number.
        max_new_tokens: longest report, end token included.
        batch_size: studies decoded together.
    """
    engine, encoder = can_decode(policy.model), policy.encoder
    encoder.ahead(studies[:batch_size])
    for done, batch in enumerate(batches(studies, batch_size), start=1):
        prompts, features = policy.seen(batch) if engine else ([*map(policy.prompt, batch)], None)
        encoder.ahead(studies[done * batch_size : (done + 1) * batch_size])
        if engine:
            decoded = decode(
                policy.model,
                prompts,
                copies=1,
                max_new_tokens=max_new_tokens,
                end_ids=policy.end_ids,
                pad_id=policy.pad_id,
                features=features,
            )
            completions = _completions(policy, decoded)
        else:
            completions = _generate(policy, prompts, max_new_tokens, do_sample=False)
        yield from zip(batch, completions, strict=True)


def greedy_texts(policy: Policy, recipe: config.Recipe, studies: Sequence[Study]) -> Iterator[str]:
    """One greedy report per study, in order, as long and as many together as a recipe says."""
    most, size = recipe.policy.max_new_tokens, recipe.evaluation.batch_size
    for _, completion in greedy_reports(policy, studies, max_new_tokens=most, batch_size=size):
        yield completion.text


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _uniforms(seed: int, group_size: int, steps: int) -> Float64[Tensor, "G T"]:
    """The numbers one study's reports are drawn by."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(group_size, steps, generator=generator, dtype=torch.float64)


def _completions(policy: Policy, decoded: Decoded) -> list[Completion]:
    lengths = decoded.lengths.tolist()
    rows = [row[:n] for row, n in zip(decoded.token_ids.tolist(), lengths, strict=True)]
    if decoded.logprobs is None or decoded.entropy is None:
        return [completion(policy, ids) for ids in rows]
    logprobs = [row[:n] for row, n in zip(decoded.logprobs.tolist(), lengths, strict=True)]
    drawn = zip(rows, logprobs, decoded.entropy.tolist(), strict=True)
    return [completion(policy, ids, of_tokens, entropy) for ids, of_tokens, entropy in drawn]


def completion(
    policy: Policy, ids: list[int], logprobs: list[float] | None = None, entropy: float | None = None
) -> Completion:
    """New tokens as a report."""
    words = ids[:-1] if ids[-1] in policy.end_ids else ids  # what ends a report need not be a special token
    return Completion(
        text=policy.tokenizer.decode(words, skip_special_tokens=True).strip(),
        token_ids=tuple(ids),
        logprobs=None if logprobs is None else tuple(logprobs),
        entropy=entropy,
        finished=ids[-1] in policy.end_ids,
    )


def _generate_group(
    policy: Policy, prompt: EncodedPrompt, group_size: int, max_new_tokens: int, how: Sampling, seed: int
) -> list[Completion]:
    """One group by ``generate``, which knows no generator but torch's own: it is lent and given back."""
    devices = [policy.device] if policy.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        return _generate(
            policy,
            [prompt] * group_size,
            max_new_tokens,
            do_sample=True,
            temperature=how.temperature,
            top_p=how.top_p,
            min_p=how.min_p or None,
            top_k=0,
        )


def _generate(
    policy: Policy, prompts: Sequence[EncodedPrompt], max_new_tokens: int, **how: Any
) -> list[Completion]:
    batch = collate(prompts, pad_id=policy.pad_id, left=True, device=policy.device)
    with evaluating(policy.model), torch.no_grad():
        output = bare(policy.model).generate(
            **batch,
            max_new_tokens=max_new_tokens,
            pad_token_id=policy.pad_id,
            eos_token_id=list(policy.end_ids),
            # An image token in a report would be taken for a picture by the next pass over it.
            suppress_tokens=list(reserved_tokens(policy.model)) or None,
            use_cache=True,
            **how,
        )
    rows = output[:, batch["input_ids"].shape[1] :].tolist()
    return [completion(policy, until_end(row, policy.end_ids)) for row in rows]


def until_end(ids: list[int], end_ids: Sequence[int]) -> list[int]:
    """New tokens up to the first that ends a report, it included."""
    ends = [i for i, token in enumerate(ids) if token in end_ids]
    return ids[: ends[0] + 1] if ends else ids
