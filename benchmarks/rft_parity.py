"""Do the two sides of ``rft_step.py`` compute the same thing?"""

from __future__ import annotations

import torch
from rft_clock import trainable
from rft_ours import Ours
from rft_stock import Stock

from radflow.policy import Completion, Group
from radflow.studies import Study


def parity(ours: Ours, stock: Stock, study: Study) -> dict[str, float]:
    """Both losses and gradients on TRL's last rollout, at TRL's present weights.

    Old and reference log-probabilities come from each side's own passes, the old ones at the weights that
    sampled. The weights have moved by all inner steps since, so ratios are not 1 and the KL term is not 0.
    """
    given = stock.kept["inputs"]
    now = [p.detach().clone() for p in trainable(stock.trainer.model)]
    stock.trainer.model.zero_grad()
    stock.trainer.model.train()
    loss = stock.trainer._compute_loss(stock.trainer.model, given)
    loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in trainable(stock.trainer.model)])

    prompt = ours.policy.encoder(study).input_ids.to(given["prompt_ids"].device)
    if not all(torch.equal(prompt, row) for row in given["prompt_ids"]):
        raise AssertionError("the two sides were not given the same prompt")
    group = Group(
        study=study,
        completions=tuple(
            Completion(text="", token_ids=tuple(row), finished=False)
            for row in given["completion_ids"].tolist()
        ),
    )
    own, gradient, ratio = ours.loss_and_gradient(group, given["advantages"], stock.kept["weights"], now)
    return {
        "loss": loss.item(),
        "loss_difference": abs(loss.item() - own),
        "gradient_norm": theirs.norm().item(),
        "gradient_norm_difference": abs(theirs.norm().item() - gradient.norm().item()),
        "gradient_difference_relative": ((theirs - gradient).norm() / theirs.norm()).item(),
        "largest_ratio": ratio,
    }
