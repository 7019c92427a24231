"""Supervised fine-tuning on image-report pairs, which gives the reference policy (paper, section 4.1).

The loss is on the report only, as in any instruction tuning. The tiny policy trains all of its weights, a
pretrained one its LoRA adapters. The checkpoint with the lowest validation loss wins.

Two optional terms help a policy that starts from noise on varied reports; `sft_terms` has them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn

from radflow import config
from radflow.config import Recipe
from radflow.errors import TrainingError
from radflow.policy import Policy
from radflow.policy.families import bare
from radflow.studies import Study
from radflow.training.examples import IGNORED, Example, make_examples, to_tensors
from radflow.training.loop import TrainingLoop
from radflow.training.schedule import epoch_batches, warmup_cosine
from radflow.training.sft_terms import LabelProbe, SentenceRarity, label_vectors, make_probe
from radflow.workspace import Workspace


class SftModel(nn.Module):
    """The policy's model and its loss in one module, so that a data-parallel wrapper sees one forward."""

    def __init__(self, model: nn.Module, probe: LabelProbe | None, label_loss: float) -> None:
        super().__init__()
        self.model = model
        self.probe = probe
        self.label_loss = label_loss
        self._can_keep = "logits_to_keep" in inspect.signature(bare(model).forward).parameters

    def forward(
        self,
        batch: dict[str, Tensor],
        targets: Int[Tensor, "N L"],
        weights: Float[Tensor, "N L"],
        last: Int[Tensor, "N"],
        labels: Float[Tensor, "N K"] | None,
    ) -> tuple[Tensor, Tensor]:
        """The training loss, and the plain mean negative log-likelihood per token for the log.

        A batch without reports has the label loss alone; its second number is NaN.
        """
        # Logits of the prompt are not needed, and with a small model they are much of the work.
        first = int(last.min())
        keep = {"logits_to_keep": targets.shape[1] - first} if self._can_keep else {}
        output = self.model(**batch, **keep, use_cache=False, output_hidden_states=self.probe is not None)
        targets, weights = targets[:, first + 1 :], weights[:, first + 1 :].flatten()
        logits = output.logits[:, -targets.shape[1] - 1 : -1].float()
        nll = nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        count = (targets != IGNORED).sum()
        plain = (nll.sum() / count).detach()
        loss = (nll * weights).sum() / weights.sum() if count > 0 else logits.new_zeros(())
        if self.probe is not None and labels is not None:
            cost = self.probe.loss(output.hidden_states, batch["input_ids"], last, labels)
            loss = loss + (self.label_loss * cost if count > 0 else cost)
        return loss, plain


def run_sft(
    workspace: Workspace,
    recipe: Recipe,
    policy: Policy,
    *,
    train: Sequence[Study],
    validate: Sequence[Study],
    accelerator: Accelerator,
) -> Path:
    """Fine-tune, and save the best policy to ``sft/model``.

    Args:
        workspace: the run's folder; checkpoints, metrics and the log go there.
        recipe: the section ``sft``.
        policy: what `load_policy` gave, with trainable weights.
        train: studies to learn from.
        validate: studies that choose the checkpoint.
        accelerator: one process, or many.

    Raises:
        TrainingError: there is nothing to train on, or the loss is not finite.
    """
    knobs = recipe.sft
    if not train or not validate:
        raise TrainingError(
            f"sft: expected studies to train and validate on, got {len(train)} and {len(validate)}"
        )
    if knobs.label_epochs > 0 and knobs.label_loss == 0:
        raise TrainingError("sft.label_epochs: expected sft.label_loss above 0 with it, got 0; set it to 1")
    labels = label_vectors(train) if knobs.label_loss > 0 else None
    rarity = SentenceRarity([s.reference.canonical for s in train], knobs.token_rarity)
    examples = make_examples(policy, train, rarity=rarity, labels=labels)
    held_out = make_examples(policy, validate[: knobs.validation_studies], rarity=rarity)
    return SftLoop(workspace, knobs, policy, examples, held_out, accelerator).run()


class SftLoop(TrainingLoop):
    """Steps of `run_sft`: one batch each; first those that learn labels alone."""

    stage = "sft"

    def __init__(
        self,
        workspace: Workspace,
        knobs: config.Sft,
        policy: Policy,
        examples: list[Example],
        held_out: list[Example],
        accelerator: Accelerator,
    ) -> None:
        self.knobs, self.examples, self.held_out = knobs, examples, held_out
        self.batch = knobs.batch_size * accelerator.num_processes
        self.per_epoch = math.ceil(len(examples) / self.batch)
        self.label_steps = round(knobs.label_epochs * self.per_epoch)
        self._order: tuple[int, list[list[int]]] | None = None
        torch.manual_seed(workspace.seed(self.stage, "init"))
        labels = examples[0].labels
        super().__init__(
            workspace,
            policy,
            accelerator,
            knobs,
            SftModel(policy.model, make_probe(policy, len(labels)) if labels else None, knobs.label_loss),
            steps=self.label_steps + max(1, round(knobs.epochs * self.per_epoch)),
            state={"best_loss": math.inf, "best_step": -1},
            weight_decay=knobs.weight_decay,
        )

    def rate(self, step: int) -> float:
        """One warm-up and cosine for the labels alone, one for the words."""
        warm = self.label_steps
        at, steps = (step, warm) if step < warm else (step - warm, self.steps - warm)
        return self.knobs.learning_rate * warmup_cosine(at, steps=steps, warmup=self.knobs.warmup_steps)

    def step(self, step: int) -> tuple[dict[str, Any], int]:
        """One optimiser step."""
        words = step >= self.label_steps
        torch.manual_seed(self.workspace.seed(self.stage, "step", step, self.accelerator.process_index))
        self.model.train()
        part = [self.examples[i] for i in self._indices(step)]
        inputs = to_tensors(self.policy, part, self.accelerator.device, words=words)
        if step + 1 < self.steps:
            self.policy.encoder.ahead(self.examples[i].study for i in self._indices(step + 1))
        loss, plain = self.model(*inputs)
        if not torch.isfinite(loss):
            knob = f"{self.stage.partition('/')[0]}.learning_rate"
            raise TrainingError(f"{self.stage}: the loss at step {step} is {loss.item()}; lower {knob}")
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.knobs.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        value = {"loss": plain.item()} if words else {"label_loss": loss.item()}
        return {**value, "grad_norm": float(norm)}, sum(len(e.tokens) for e in part) * words

    def validate(self, done: int) -> tuple[dict[str, float], bool]:
        """The validation loss, once words are learnt."""
        if done <= self.label_steps:
            return {}, False
        loss = self._validation_loss()
        if best := loss < self.state["best_loss"]:
            self.state |= {"best_loss": loss, "best_step": done}
        self.workspace.say(f"sft: step {done}/{self.steps} validation loss {loss:.4f}")
        return {"validation_loss": loss}, best

    def conclude(self) -> None:
        """The best loss."""
        loss, step = self.state["best_loss"], self.state["best_step"]
        self.workspace.say(f"sft: best validation loss {loss:.4f} at step {step}")

    def _indices(self, step: int) -> list[int]:
        """The examples of a step on this process."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order is None or self._order[0] != epoch:
            seed = self.workspace.seed(self.stage, "epoch", epoch)
            lengths = [len(e.tokens) for e in self.examples]
            self._order = epoch, epoch_batches(lengths, self.batch, seed=seed)
        batch = self._order[1][position]
        mine = batch[self.accelerator.process_index :: self.accelerator.num_processes]
        return mine or batch[:1]

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """Mean negative log-likelihood per token of the held-out reports, over all processes, in nats."""
        self.inner.eval()
        device, size = self.accelerator.device, self.knobs.batch_size
        total = torch.zeros(2, device=device)
        for i in range(self.accelerator.process_index * size, len(self.held_out), self.batch):
            part = self.held_out[i : i + size]
            # Not through the data-parallel wrapper: processes may hold unlike numbers of batches.
            _, plain = self.inner(*to_tensors(self.policy, part, device))
            tokens = sum(len(e.tokens) for e in part)
            total += torch.tensor([plain.item() * tokens, tokens], device=device)
        total = self.accelerator.reduce(total, reduction="sum")
        return float(total[0] / total[1])
