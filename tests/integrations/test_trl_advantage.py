"""TRL's GDPO as the oracle of ours: what it makes of the same rewards, in its own trainer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from radflow.capo import decoupled_advantage

pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
WEIGHTS = [1.0, 0.5]
G = 4


def test_decoupled_is_what_trl_normalises_and_then_sums(build: Callable[..., Any]) -> None:
    from trl import GRPOTrainer

    draw = torch.Generator().manual_seed(3)
    given = torch.rand(2, 2, G, generator=draw)
    given[0, 0, 1] = torch.nan
    given[1, 1] = torch.nan
    given[:, 0, 3] = torch.nan  # by every term
    found: list[torch.Tensor] = []

    class Watched(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            outputs = super()._generate_and_score_completions(inputs)
            found.append(outputs["advantages"])
            return outputs

    def term(k: int) -> Callable[..., list[float | None]]:
        def reward(completions: Any, **columns: Any) -> list[float | None]:
            return [None if value != value else value for value in given[k].flatten().tolist()]

        reward.__name__ = f"term_{k}"
        return reward

    trainer = build(
        Watched,
        [term(0), term(1)],
        multi_objective_aggregation="normalize_then_sum",
        reward_weights=WEIGHTS,
        num_generations=G,
        per_device_train_batch_size=2 * G,
        num_iterations=1,
        max_steps=1,
    )
    trainer.train()
    ours = decoupled_advantage(given, torch.tensor(WEIGHTS)).sum(0).flatten()
    assert found[0].abs().max() > 0.5
    assert ours.tolist() == pytest.approx(found[0].tolist(), abs=1e-5)
