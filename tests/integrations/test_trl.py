"""CAPO and the hierarchical reward inside TRL: three real steps on a tiny vision-language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from radflow.capo import capo_loss, clip_range
from radflow.errors import DataError, RewardError, TrainingError
from radflow.rewards import PARTS, HierarchicalReward, Reward
from radflow.studies import Study

pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")

Build = Callable[..., Any]


def spread(completions: list[Any], **_: Any) -> list[float]:
    """Rewards that differ within every group, so that each case has a gradient."""
    return [float(i % 2) for i in range(len(completions))]


def weights(trainer: Any) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}


def moved_apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def steps(trainer: Any) -> list[dict[str, float]]:
    trainer.train()
    return [row for row in trainer.state.log_history if "loss" in row]


def test_divisor_1_is_stock_grpo_and_divisor_4_is_not(build: Build) -> None:
    from trl import GRPOTrainer

    from radflow.integrations.trl import CAPOTrainer

    trained = {}
    for name, trainer, arguments in (
        ("stock", GRPOTrainer, {}),
        ("one", CAPOTrainer, {"divisor": 1.0}),
        ("four", CAPOTrainer, {"divisor": 4.0}),
    ):
        made = build(trainer, spread, **arguments)
        trained[name] = (steps(made), weights(made))
    assert moved_apart(trained["stock"][1], trained["one"][1]) == 0
    assert moved_apart(trained["stock"][1], trained["four"][1]) > 1e-3
    clipped = {name: [row["clip_ratio/region_mean"] for row in rows] for name, (rows, _) in trained.items()}
    assert clipped["one"] == clipped["stock"]
    assert clipped["stock"][0] == clipped["four"][0] == 0  # every ratio is 1
    assert clipped["stock"][1] < clipped["four"][1]


def test_what_happened_is_logged_by_class(build: Build) -> None:
    from radflow.integrations.trl import CAPOTrainer

    first, second, _ = steps(build(CAPOTrainer, spread, per_device_train_batch_size=6))
    for name in ("critical", "normal"):
        assert first[f"capo/shift_{name}"] == first[f"capo/clip_fraction_{name}"] == 0
        assert first[f"capo/ratio_max_{name}"] == 1
        assert second[f"capo/shift_{name}"] > 0
        assert second[f"capo/ratio_max_{name}"] > 1
    share = 4 / 6  # four of the six completions are of critical cases, and all are equally long
    both = share * second["capo/clip_fraction_critical"] + (1 - share) * second["capo/clip_fraction_normal"]
    assert both == pytest.approx(second["clip_ratio/region_mean"], abs=1e-6)


def test_each_row_keeps_its_range_through_shuffling_and_splitting(build: Build) -> None:
    """Every batch that reaches the loss: its advantages and ranges are still those of the same rows."""
    from radflow.integrations.trl import CRITICAL, CAPOTrainer

    seen = []

    class Watched(CAPOTrainer):
        def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
            seen.append((inputs[CRITICAL], inputs["advantages"], inputs["completion_ids"].shape))
            return super()._compute_loss(model, inputs)

    def by_class(completions: list[Any], critical: list[bool], **_: Any) -> list[float]:
        return [i % 2 * (3.0 if c else 1.0) for i, c in enumerate(critical)]

    options = {"scale_rewards": False, "per_device_train_batch_size": 2, "steps_per_generation": 3}
    build(Watched, by_class, num_iterations=1, **options).train()
    assert len(seen) == 3  # one generation of three groups in three steps
    assert sum(int(critical.sum()) for critical, _, _ in seen) == 4
    for critical, advantages, _ in seen:
        assert torch.equal(advantages.abs(), torch.where(critical, 1.5, 0.5))


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_the_loss_is_ours_with_the_range_of_each_case(build: Build, level: str) -> None:
    from radflow.integrations.trl import CAPOTrainer

    found = []

    class Watched(CAPOTrainer):
        def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
            loss = super()._compute_loss(model, inputs)
            found.append((float(loss.detach()), self._logprobs, inputs))
            return loss

    build(Watched, spread, importance_sampling_level=level, epsilon=0.2, epsilon_high=0.4).train()
    for loss, logprobs, inputs in found:
        clip, high = (clip_range(inputs["critical"], epsilon, 4.0) for epsilon in (0.2, 0.4))
        ours, _ = capo_loss(
            logprobs,
            inputs["old_per_token_logps"],
            inputs["ref_per_token_logps"],
            inputs["completion_mask"].bool(),
            inputs["advantages"],
            clip,
            clip_high=high,
            ratio="token" if level == "token" else "sequence",
        )
        assert float(ours) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_iterations": 1}, "the ratio is exactly 1"),
        ({"loss_type": "sapo"}, "no effect"),
        ({"loss_type": "cispo"}, "another meaning"),
    ],
)
def test_what_would_make_the_range_a_no_op_is_refused(
    build: Build, options: dict[str, Any], reason: str
) -> None:
    from radflow.integrations.trl import CAPOTrainer

    with pytest.raises(TrainingError, match=reason):
        build(CAPOTrainer, spread, **options)


def test_a_row_that_does_not_say_whether_it_is_critical_is_named(build: Build, rows: Any) -> None:
    from radflow.integrations.trl import CAPOTrainer

    with pytest.raises(DataError, match=r"row 0.*'critical'.*None"):
        build(CAPOTrainer, spread, data=rows.remove_columns("critical"))
    unknown = rows.remove_columns("critical").add_column("critical", [True, None, False])
    with pytest.raises(DataError, match=r"row 1.*'critical'.*None"):
        build(CAPOTrainer, spread, data=unknown)
    with pytest.raises(DataError, match=r"row 0.*remove_unused_columns"):
        build(CAPOTrainer, spread, remove_unused_columns=True).train()


def test_the_hierarchical_reward_trains_with_stock_grpo(build: Build, studies: list[Study]) -> None:
    from trl import GRPOTrainer

    from radflow.integrations.trl import reward_function

    reward = reward_function(HierarchicalReward(modality="chest-xray"), studies)
    logged = steps(build(GRPOTrainer, reward))
    assert logged[0]["reward"] == pytest.approx(logged[0]["rewards/hierarchical_reward/mean"])
    present = [part for part in PARTS if f"reward/{part}" in logged[0]]
    assert logged[0]["reward"] == pytest.approx(
        sum(logged[0][f"reward/{part}"] for part in present), abs=1e-5
    )
    assert "syntax" in present


def test_the_reward_function_reads_plain_and_conversational_completions(studies: list[Study]) -> None:
    from radflow.integrations.trl import reward_function

    model = HierarchicalReward(modality="chest-xray")
    text, other = studies[1].reference.text, "Large left effusion."
    expected = [model(studies[1], [text])[0].total, model(studies[0], [other])[0].total]
    reward, ids = reward_function(model, studies), ["s1", "s0"]
    assert reward(completions=[text, other], study_id=ids) == expected
    chat = [[{"role": "assistant", "content": t}] for t in (text, other)]
    assert reward(prompts=[], completions=chat, study_id=ids, trainer_state=None) == expected


def test_a_skipped_part_is_logged_as_absent(studies: list[Study]) -> None:
    from radflow.integrations.trl import reward_function

    reward = reward_function(HierarchicalReward(modality="chest-xray"), studies)
    table: dict[str, list[Any]] = {}
    metrics: dict[str, float] = {}
    reward(
        completions=[studies[0].reference.text, "No headers."],
        study_id=["s0", "s0"],
        log_extra=table.__setitem__,
        log_metric=metrics.__setitem__,
    )
    assert table["reward/impression"] == [1.0, None]
    assert metrics["reward/impression"] == 1.0
    assert metrics["reward/impression_skipped"] == 0.5
    assert metrics["reward/syntax_skipped"] == 0.0


def test_a_reward_that_fails_stops_the_training(studies: list[Study]) -> None:
    from radflow.integrations.trl import reward_function

    class Broken(HierarchicalReward):
        def score_many(self, studies: Any, texts: Any) -> list[list[Reward]]:
            good = super().score_many(studies, texts)
            return [[replace(row[0], total=float("nan"))] for row in good]

    with pytest.raises(RewardError, match=r"study s2: expected a finite reward, got nan"):
        reward_function(Broken(modality="chest-xray"), studies)(completions=["Normal."], study_id=["s2"])
    whole = reward_function(HierarchicalReward(modality="chest-xray"), studies)
    with pytest.raises(DataError, match=r"row 1.*'s9'"):
        whole(completions=["Normal.", "Normal."], study_id=["s0", "s9"])
    with pytest.raises(DataError, match=r"'study_id'"):
        whole(completions=["Normal."], critical=[True])
