"""What a step of reinforcement fine-tuning logs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from radflow.capo import dead_groups
from radflow.training.rollout import Rollout
from radflow.training.update import Rows, Update


def step_figures(
    rollout: Rollout, update: Update, measured: Mapping[str, float], accelerator: Accelerator
) -> dict[str, Any]:
    """The figures of a step, a mean over all processes.

    ``*_critical`` and ``*_normal`` are of the rows of either class; NaN where there are none. Shares are in
    [0, 1], ``kl`` is in nats a token, shifts are L1 distances in [0, 2].
    """
    device, stats = rollout.advantage.device, update.stats
    row: dict[str, Any] = {
        "loss": float(np.mean(update.losses)),
        "dead_groups": float(dead_groups(torch.tensor(rollout.rewards)).float().mean()),
        "replaced_groups": len(rollout.replaced) / len(rollout.groups),
        "length": float(np.mean([len(c.token_ids) for g in rollout.groups for c in g.completions])),
        "finished": float(np.mean([c.finished for g in rollout.groups for c in g.completions])),
        "critical_share": float(rollout.critical.float().mean()),
        "reward": float(rollout.rewards.mean()),
        "reward_std": float(rollout.rewards.std(axis=1).mean()),
        "kl": float(stats.kl.mean()),
        "inner_steps": float(len(update.losses)),
        "guard_stopped": float(update.stopped.float().mean()),
        "update_kept": update.kept,
        "sampler_gap": _sampler_gap(rollout, update.old),
        **measured,
    }
    for term, values in rollout.parts.items():
        known = values[np.isfinite(values)]
        row[f"reward/{term}"] = float(known.mean()) if known.size else math.nan
        row[f"reward/{term}_std"] = float(known.std()) if known.size else math.nan
    for name, rows in (("critical", rollout.critical), ("normal", ~rollout.critical)):
        some = bool(rows.any())
        row[f"clip_fraction_{name}"] = float(stats.clip_fraction[rows].mean()) if some else math.nan
        row[f"ratio_min_{name}"] = float(stats.ratio_min[rows].min()) if some else math.nan
        row[f"ratio_max_{name}"] = float(stats.ratio_max[rows].max()) if some else math.nan
        row[f"shift_{name}"] = float(stats.shift[rows].mean()) if some else math.nan
    if accelerator.num_processes > 1:
        names = list(row)
        rows_of_all = accelerator.gather(torch.tensor([[float(row[n]) for n in names]], device=device))
        row = dict(zip(names, torch.nanmean(rows_of_all, dim=0).tolist(), strict=True))
    return row


def _sampler_gap(rollout: Rollout, old: Rows) -> float:
    """Largest difference of a log-probability between the sampler and the pass over the whole completion."""
    completions = [c for g in rollout.groups for c in g.completions]
    if any(c.logprobs is None for c in completions):
        return math.nan
    pairs = zip(completions, old, strict=True)
    return max(float((torch.tensor(c.logprobs) - row.cpu()).abs().max()) for c, row in pairs)
