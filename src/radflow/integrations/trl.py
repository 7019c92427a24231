"""CAPO and the hierarchical reward for people who train with TRL.

`CAPOTrainer` is TRL's ``GRPOTrainer`` with the clipping range of each case (Eq. 9). `reward_function` is the
hierarchical reward (Eq. 4-7) in the form that TRL calls; it works with the stock ``GRPOTrainer`` as well.

Whether a case is critical goes through TRL as one more column of the batch, so that it is shuffled and split
with the rows that it belongs to; its range stands in place of TRL's epsilon while TRL computes its loss.
Written for TRL 1.16, and tested against it: the methods overridden are private (docs/decisions/trl.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from radflow.capo import capo_loss, clip_range
from radflow.errors import DataError, MissingDependencyError, RewardError, TrainingError
from radflow.rewards import PARTS, HierarchicalReward
from radflow.studies import Study

try:
    from trl import GRPOConfig, GRPOTrainer
except ImportError as error:
    raise MissingDependencyError(f"TRL cannot be imported ({error}): pip install 'radflow[trl]'") from None

LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
"""The losses of TRL that clip the ratio to ``1 - epsilon .. 1 + epsilon``."""

CRITICAL = "critical"
"""The batch's column that says of each row whether its case is critical, ``(B,)``."""


class CAPOTrainer(GRPOTrainer):
    """TRL's ``GRPOTrainer`` with ``epsilon / divisor`` for critical cases (Eq. 9).

    ``args.epsilon`` is the range of the normal cases; ``args.epsilon_high``, where set, is divided likewise.
    With divisor 1 it is ``GRPOTrainer``. TRL's default loss is not Eq. 8's: ask for ``loss_type="grpo"``.

    Beside TRL's metrics it logs ``capo/clip_fraction``, ``capo/shift`` (mean ``|ratio - 1|`` per token) and
    ``capo/ratio_max``, each once with ``_critical`` and once with ``_normal`` behind it.

    Args:
        model: as for ``GRPOTrainer``, like every argument that is not named below.
        reward_funcs: for example `reward_function`.
        args: at least two optimiser steps on each rollout, ``num_iterations=2``, and a loss that clips.
        train_dataset: with a column that says whether the case is critical, true or false, annotated from the
            reference report before training.
        divisor: at least 1; the paper's is 4.
        critical_column: the name of that column.
        others: ``GRPOTrainer``'s remaining arguments.

    Raises:
        TrainingError: no clip could ever bind, or the loss does not clip at epsilon.
        DataError: a row does not say whether it is critical.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any,
        args: GRPOConfig,
        train_dataset: Any,
        *,
        divisor: float = 4.0,
        critical_column: str = "critical",
        **others: Any,
    ) -> None:
        _check_clipping(args)
        clip_range(torch.tensor([True]), args.epsilon, divisor)
        self._divisor = divisor
        self._critical_column = critical_column
        if hasattr(train_dataset, "__len__"):
            columns = train_dataset.column_names
            known = train_dataset[critical_column] if critical_column in columns else [None]
            _critical([{critical_column: value} for value in known], critical_column)
        super().__init__(model, reward_funcs, args, train_dataset, **others)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        critical = torch.tensor(_critical(inputs, self._critical_column), device=self.accelerator.device)
        return super()._generate_and_score_completions(inputs) | {CRITICAL: critical}

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Any, Any]:
        outputs = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._logprobs = outputs[0].detach()
        return outputs

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        usual = self.epsilon_low, self.epsilon_high
        low, high = (clip_range(inputs[CRITICAL], epsilon, self._divisor) for epsilon in usual)
        self.epsilon_low, self.epsilon_high = low[:, None], high[:, None]
        try:
            loss = super()._compute_loss(model, inputs)
        finally:
            self.epsilon_low, self.epsilon_high = usual
        self._log_by_class(model, inputs, low, high)
        return loss

    @torch.no_grad()
    def _log_by_class(self, model: Any, inputs: Mapping[str, Any], low: Tensor, high: Tensor) -> None:
        mask = (inputs["completion_mask"] * inputs.get("tool_mask", 1)).bool()
        old = inputs.get("old_per_token_logps", self._logprobs)
        level = "sequence" if self.importance_sampling_level == "sequence" else "token"
        _, stats = capo_loss(
            self._logprobs, old, old, mask, inputs["advantages"], low, clip_high=high, ratio=level, beta=0.0
        )
        rows = torch.stack(
            [stats.clip_fraction, stats.shift, stats.ratio_max, inputs[CRITICAL].float()], dim=1
        )
        rows = self.accelerator.gather(rows)
        metrics = self._metrics["train" if model.training else "eval"]
        for name, some in (("critical", rows[rows[:, 3] == 1]), ("normal", rows[rows[:, 3] == 0])):
            if len(some):
                metrics[f"capo/clip_fraction_{name}"].append(some[:, 0].mean().item())
                metrics[f"capo/shift_{name}"].append(some[:, 1].mean().item())
                metrics[f"capo/ratio_max_{name}"].append(some[:, 2].max().item())


def reward_function(
    reward: HierarchicalReward, studies: Sequence[Study], *, id_column: str = "study_id"
) -> Callable[..., list[float]]:
    """The hierarchical reward as a TRL reward function.

    Every term goes to TRL's log as ``reward/<term>``, its mean over the completions that have it, and with
    ``log_completions`` into the table of completions, empty where it was skipped.

    Args:
        reward: what to compute.
        studies: whose references it compares with.
        id_column: the dataset's column that names the study of each row.

    Returns:
        a function of a batch's completions, plain or conversational, that gives one total per completion. It
        raises DataError for a row whose study is not known, and RewardError when a reward fails: one that
        failed is never 0, and never ``None``, which TRL would silently leave out.
    """
    known = {study.study_id: study for study in studies}

    def hierarchical_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
        if id_column not in columns:
            raise DataError(
                f"expected a column {id_column!r} with the study of each row, got {sorted(columns)}; add it, "
                "and leave remove_unused_columns off"
            )
        ids = columns[id_column]
        for row, study_id in enumerate(ids):
            if study_id not in known:
                raise DataError(
                    f"row {row} of the batch: {id_column} {study_id!r} is none of the studies given"
                )
        texts = [[completion_text(completion)] for completion in completions]
        rewards = [row[0] for row in reward.score_many([known[study_id] for study_id in ids], texts)]
        for study_id, value in zip(ids, rewards, strict=True):
            if not torch.isfinite(torch.tensor(value.total)):
                raise RewardError(f"study {study_id}: expected a finite reward, got {value.total}")
        for part in PARTS:
            _log_part(part, [value.parts[part] for value in rewards], columns)
        return [value.total for value in rewards]

    return hierarchical_reward


def completion_text(completion: str | Sequence[Mapping[str, Any]]) -> str:
    """What the model wrote: a plain completion, or the text of a conversational one.

    >>> completion_text("Normal.")
    'Normal.'
    >>> completion_text([{"role": "assistant", "content": "Normal."}])
    'Normal.'
    >>> completion_text([{"role": "assistant", "content": [{"type": "text", "text": "Normal."}]}])
    'Normal.'
    """
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _log_part(part: str, values: Sequence[float | None], columns: Mapping[str, Any]) -> None:
    present = [value for value in values if value is not None]
    if log_extra := columns.get("log_extra"):
        log_extra(f"reward/{part}", list(values))
    if log_metric := columns.get("log_metric"):
        if present:
            log_metric(f"reward/{part}", sum(present) / len(present))
        log_metric(f"reward/{part}_skipped", 1 - len(present) / len(values))


def _critical(rows: Sequence[Mapping[str, Any]], column: str) -> list[bool]:
    for index, row in enumerate(rows):
        if not isinstance(row.get(column), bool):
            raise DataError(
                f"row {index}: expected the column {column!r} to say true or false, got {row.get(column)!r}; "
                "annotate every case before training, and leave remove_unused_columns off"
            )
    return [row[column] for row in rows]


def _check_clipping(args: GRPOConfig) -> None:
    if args.loss_type not in LOSS_TYPES:
        raise TrainingError(
            f"expected one of the losses that clip the ratio at epsilon, {', '.join(LOSS_TYPES)}, got "
            f"{args.loss_type!r}; with it the range of a case would have no effect, or another meaning"
        )
    passes = args.num_iterations * (args.steps_per_generation or 1)
    steps = passes / args.gradient_accumulation_steps
    if steps <= 1:
        raise TrainingError(
            f"expected at least 2 optimiser steps on a rollout, got {steps:g}: the ratio is exactly 1, no "
            "clip ever binds, and CAPO is GRPO; set num_iterations=2 or more"
        )
