"""Sampling a group of reports for each study, and greedy reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from radflow.policy.groups import Completion, Group
from radflow.policy.load import Policy, unwrap
from radflow.policy.prompts import PromptEncoder, collate
from radflow.studies import Study


@torch.no_grad()
def sample_groups(
    policy: Policy,
    encoder: PromptEncoder,
    studies: Sequence[Study],
    *,
    group_size: int,
    max_new_tokens: int,
    seed: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> list[Group]:
    """Sample ``group_size`` reports for each study.

    The same seed, studies and weights give the same reports.
    """
    torch.manual_seed(seed)
    rows = _generate(
        policy,
        encoder,
        [study for study in studies for _ in range(group_size)],
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=temperature,
        top_p=top_p,
        top_k=0,
    )
    return [
        Group(study=study, completions=tuple(rows[i * group_size : (i + 1) * group_size]))
        for i, study in enumerate(studies)
    ]


@torch.no_grad()
def greedy_reports(
    policy: Policy,
    encoder: PromptEncoder,
    studies: Sequence[Study],
    *,
    max_new_tokens: int,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[Study, Completion]]:
    """Yield one greedy report a study, in the order given; memory is bounded by the batch."""
    for start in range(0, len(studies), batch_size):
        batch = studies[start : start + batch_size]
        completions = _generate(policy, encoder, batch, max_new_tokens=max_new_tokens, do_sample=False)
        yield from zip(batch, completions, strict=True)
        if progress is not None:
            progress(len(batch))


def _generate(
    policy: Policy, encoder: PromptEncoder, studies: Sequence[Study], *, max_new_tokens: int, **how: object
) -> list[Completion]:
    model = policy.model
    was_training = model.training
    model.eval()
    batch = collate([encoder(s) for s in studies], pad_id=policy.pad_id, left=True, device=policy.device)
    image_id = getattr(unwrap(model).config, "image_token_id", None)
    output = unwrap(model).generate(
        **batch,
        max_new_tokens=max_new_tokens,
        pad_token_id=policy.pad_id,
        eos_token_id=list(policy.end_ids),
        # An image token in a report would be taken for a picture by the next pass over it.
        suppress_tokens=[image_id] if image_id is not None else None,
        use_cache=True,
        **how,
    )
    model.train(was_training)
    return [_completion(policy, row) for row in output[:, batch["input_ids"].shape[1] :].cpu()]


def _completion(policy: Policy, row: Int[Tensor, "T"]) -> Completion:
    ids = row.tolist()
    ends = [i for i, token in enumerate(ids) if token in policy.end_ids]
    ids = ids[: ends[0] + 1] if ends else ids
    text = policy.tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Completion(text=text, token_ids=tuple(ids), finished=bool(ends))
