"""TRL is the oracle: on the same inputs our loss and its LoRA gradients are those of ``_compute_loss``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from radflow.capo import capo_loss
from radflow.policy import Policy, PromptEncoder, completion_logprobs
from radflow.policy.passes.shared_prefix import shared_prefix_logprobs
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.studies import Study

pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")

COMPLETIONS = ((7, 8, 9, 10, 11), (12, 1), (9,), (5, 6, 7, 1))
EPSILON, LONGEST, CLOSE = 0.2, 8, 1e-5


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two groups of two ragged completions, one study with two pictures, and what the loss needs."""

    trainer: Any
    prompts: Sequence[EncodedPrompt]
    pad_id: int
    old: Tensor
    reference: Tensor
    mask: Tensor
    advantage: Tensor

    @property
    def model(self) -> Any:
        return self.trainer.model

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        self.model.zero_grad()
        loss.backward()
        return {n: p.grad.clone() for n, p in self.model.named_parameters() if p.requires_grad}

    def of_trl(self, *, with_old: bool = True, **settings: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """TRL's loss and gradients. Its trainer keeps the options as plain attributes."""
        for name, value in settings.items():
            assert hasattr(self.trainer, name)
            setattr(self.trainer, name, value)
        batch = collate(self.prompts, pad_id=self.pad_id, left=True)
        longest = max(map(len, COMPLETIONS))
        inputs = {
            "prompt_ids": batch["input_ids"],
            "prompt_mask": batch["attention_mask"],
            "completion_ids": torch.tensor([[*c, *[self.pad_id] * (longest - len(c))] for c in COMPLETIONS]),
            "completion_mask": self.mask.long(),
            "pixel_values": batch["pixel_values"],
            "num_images": [len(p.image_fields["pixel_values"]) for p in self.prompts],
            "advantages": self.advantage,
            "num_items_in_batch": self.mask.sum(),
            "ref_per_token_logps": self.reference,
        } | ({"old_per_token_logps": self.old} if with_old else {})
        loss = self.trainer._compute_loss(self.model, inputs)
        return loss.detach(), self.gradients(loss)

    def of_ours(
        self, logprobs: Tensor, old: Tensor | None, **options: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        old = logprobs.detach() if old is None else old
        clip = torch.full_like(self.advantage, EPSILON)
        loss, _ = capo_loss(logprobs, old, self.reference, self.mask, self.advantage, clip, **options)
        return loss.detach(), self.gradients(loss)

    def plain(self) -> Tensor:
        """Our log-probabilities, a padded row a completion."""
        return completion_logprobs(self.model, self.prompts, COMPLETIONS, pad_id=self.pad_id)[0]

    def packed(self) -> Tensor:
        """Our log-probabilities, the prefix once a group."""
        groups = [COMPLETIONS[:2], COMPLETIONS[2:]]
        return shared_prefix_logprobs(self.model, self.prompts[::2], groups, pad_id=self.pad_id)[0]


@pytest.fixture
def case(build: Callable[..., Any], policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> Case:
    from trl import GRPOTrainer

    trainer = build(GRPOTrainer, lambda completions, **_: [0.0] * len(completions))
    trainer.current_gradient_accumulation_steps = 1  # the training loop sets it
    noise = torch.Generator().manual_seed(0)
    for name, weight in trainer.model.named_parameters():
        if "lora_B" in name:  # zero at first, which would leave lora_A without a gradient
            weight.data.normal_(std=0.1, generator=noise)
    prompts = [encoder(study) for study in studies[:2] for _ in range(2)]
    with torch.no_grad():
        now, mask = completion_logprobs(trainer.model, prompts, COMPLETIONS, pad_id=policy.pad_id)
    old, reference = (now + 0.25 * torch.randn(now.shape, generator=noise) for _ in range(2))
    return Case(
        trainer=trainer,
        prompts=prompts,
        pad_id=policy.pad_id,
        old=old,
        reference=reference,
        mask=mask,
        advantage=torch.tensor([0.7, -0.7, 1.1, -1.1]),
    )


def check_equal(ours: tuple[Tensor, dict[str, Tensor]], trl: tuple[Tensor, dict[str, Tensor]]) -> None:
    assert float(ours[0]) == pytest.approx(float(trl[0]), abs=CLOSE)
    assert ours[1].keys() == trl[1].keys()
    assert max(float(g.abs().max()) for g in trl[1].values()) > 1e-3  # there is something to compare
    for name, gradient in trl[1].items():
        torch.testing.assert_close(ours[1][name], gradient, atol=CLOSE, rtol=0, msg=name)


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("forward", [Case.plain, Case.packed])
def test_loss_and_lora_gradients_are_those_of_trl(
    case: Case, forward: Callable[[Case], Tensor], beta: float
) -> None:
    """At the first inner step, where every ratio is 1, and at a later one, where some are clipped."""
    check_equal(case.of_ours(forward(case), None, beta=beta), case.of_trl(with_old=False, beta=beta))
    check_equal(case.of_ours(forward(case), case.old, beta=beta), case.of_trl(beta=beta))


def test_the_oracle_is_asked_where_some_tokens_are_clipped(case: Case) -> None:
    clip = torch.full((4,), EPSILON)
    _, stats = capo_loss(case.plain(), case.old, case.reference, case.mask, case.advantage, clip)
    assert float(stats.clip_fraction_low.mean()) > 0
    assert float(stats.clip_fraction_high.mean()) > 0
    assert float(stats.clip_fraction.mean()) < 1


OPTIONS = {
    "dapo": ({"clip_high": torch.full((4,), 0.35)}, {"epsilon_high": 0.35}),
    "gspo": ({"ratio": "sequence"}, {"importance_sampling_level": "sequence"}),
    "dr_grpo": (
        {"normaliser": "constant", "max_tokens": LONGEST},
        {"loss_type": "dr_grpo", "max_completion_length": LONGEST},
    ),
}
OPTIONS["all"] = tuple(
    {name: value for option in list(OPTIONS.values()) for name, value in option[side].items()}
    for side in (0, 1)
)


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("option", list(OPTIONS))
def test_the_options_are_those_of_trl(case: Case, option: str, beta: float) -> None:
    ours, trl = OPTIONS[option]
    usual = case.of_ours(case.plain(), case.old, beta=beta)
    changed = case.of_ours(case.plain(), case.old, beta=beta, **ours)
    assert abs(float(changed[0] - usual[0])) > 1e-3
    check_equal(changed, case.of_trl(beta=beta, **trl))
