"""What the steps of training log, in ``metrics.jsonl``."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor

from radflow.capo import dead_groups, exact_shift, visited_shift
from radflow.policy import Group, GroupForward
from radflow.training.rollout import Rollout
from radflow.training.update import Rows, Update


def step_figures(
    rollout: Rollout,
    update: Update,
    measured: Mapping[str, float],
    accelerator: Accelerator,
) -> dict[str, Any]:
    """The figures of a step, each a mean over all processes.

    ``*_critical`` and ``*_normal`` are of the rows of either class; NaN where there are none. Shares are in
    [0, 1], ``kl`` and ``entropy`` in nats per token, shifts are L1 distances in [0, 2]. ``entropy`` is that
    of the policy that sampled, at its temperature, over the whole vocabulary. ``grad_norm`` is the mean over
    the inner steps, before clipping. ``advantage/<term>_std`` is the spread of what a term contributes to
    the advantage. ``label_token_share`` is that of the tokens that decide a label (``rft.label_tokens``).
    """
    device, stats = rollout.advantage.device, update.stats
    row: dict[str, Any] = {
        "loss": float(np.mean(update.losses)),
        "grad_norm": float(np.mean(update.grad_norms)) if update.grad_norms else math.nan,
        "entropy": _entropy(rollout),
        "dead_groups": float(dead_groups(torch.tensor(rollout.rewards)).float().mean()),
        "replaced_groups": len(rollout.replaced) / len(rollout.groups),
        "length": float(np.mean([len(c.token_ids) for g in rollout.groups for c in g.completions])),
        "finished": float(np.mean([c.finished for g in rollout.groups for c in g.completions])),
        "critical_share": float(rollout.critical.float().mean()),
        "reward": float(rollout.rewards.mean()),
        "reward_std": float(rollout.rewards.std(axis=1).mean()),
        "advantage_std": float(rollout.advantage.std(correction=0)),
        "kl": float(stats.kl.mean()),
        "inner_steps": float(len(update.losses)),
        "guard_stopped": float(update.stopped.float().mean()),
        "update_kept": update.kept,
        "sampler_gap": _sampler_gap(rollout, update.old),
        **measured,
    }
    if rollout.weights:
        row["label_token_share"] = float(torch.cat(list(rollout.weights)).gt(1).float().mean())
    for term, share in rollout.shares.items():
        known = rollout.parts[term][np.isfinite(rollout.parts[term])]
        row[f"reward/{term}"] = float(known.mean()) if known.size else math.nan
        row[f"reward/{term}_std"] = float(known.std()) if known.size else math.nan
        row[f"advantage/{term}_std"] = float(share.std(correction=0)) if known.size else math.nan
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


def edited_figures(rollout: Rollout, old: Rows) -> dict[str, float]:
    """What the mended completions of a rollout are, beside the sampled ones; NaN where there are none.

    ``*_logprob`` is the mean in nats per token under the policy that sampled: how far the mended reports are
    from what it would write. Their ratio at the first pass is 1, as everyone's (`radflow.training.update`).
    """
    edited = np.array([[c.edited for c in group.completions] for group in rollout.groups])
    row = {"edited_share": float(edited.mean())}
    for name, rows in (("edited", edited), ("sampled", ~edited)):
        some = torch.cat([old[i] for i in np.flatnonzero(rows)]) if rows.any() else None
        row[f"{name}_reward"] = math.nan if some is None else float(rollout.rewards[rows].mean())
        row[f"{name}_logprob"] = math.nan if some is None else float(some.mean())
    return row


class ShiftProbe:
    """How far an update moves the policy over the whole vocabulary, on a critical and a normal group.

    Args:
        forward: with the weights before the update.
        groups: of the rollout; the first critical one and the first normal one are taken.
    """

    def __init__(self, forward: GroupForward, groups: Sequence[Group]) -> None:
        self._forward = forward
        self._groups = {
            name: next((g for g in groups if bool(g.study.critical) == critical), None)
            for name, critical in (("critical", True), ("normal", False))
        }
        self._before = {name: forward.logits(g) for name, g in self._groups.items() if g is not None}

    def measure(self) -> dict[str, float]:
        """After the update: the L1 shift at the sampled states, exact and as the ratios estimate it."""
        row: dict[str, float] = {}
        for name, group in self._groups.items():
            exact = visited = math.nan
            if group is not None:
                before, after = self._before[name], self._forward.logits(group)
                ids = torch.tensor([i for c in group.completions for i in c.token_ids], device=after.device)
                states = torch.ones(1, len(ids), dtype=torch.bool, device=after.device)
                exact = float(exact_shift(after[None], before[None], states))
                visited = float(visited_shift(_picked(after, ids), _picked(before, ids), states))
            row[f"exact_shift_{name}"] = exact
            row[f"shift_after_{name}"] = visited
        return row


def peak_bytes() -> int:
    """The most memory held: of the GPU by tensors, where there is one, else by the process since it began."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _entropy(rollout: Rollout) -> float:
    """Mean over the sampled tokens; NaN where the sampler does not know it."""
    completions = [c for g in rollout.groups for c in g.completions if not c.edited]
    if any(c.entropy is None for c in completions):
        return math.nan
    lengths = [len(c.token_ids) for c in completions]
    return float(np.average([c.entropy or 0.0 for c in completions], weights=lengths))


def _sampler_gap(rollout: Rollout, old: Rows) -> float:
    """Largest difference of a log-probability between the sampler and the pass over the whole completion."""
    completions = [c for g in rollout.groups for c in g.completions]
    pairs = [pair for pair in zip(completions, old, strict=True) if not pair[0].edited]
    if any(c.logprobs is None for c, _ in pairs):
        return math.nan
    return max(float((torch.tensor(c.logprobs) - row.cpu()).abs().max()) for c, row in pairs)


def _picked(logits: Float[Tensor, "K V"], ids: Int[Tensor, "K"]) -> Float[Tensor, "1 K"]:
    return logits.log_softmax(-1).gather(-1, ids[:, None]).T
