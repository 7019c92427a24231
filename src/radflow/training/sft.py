"""Supervised fine-tuning on image-report pairs, which gives the reference policy (paper, section 4.1).

The loss is on the report only, as in any instruction tuning. What trains is what the recipe says, by default
all weights of the tiny policy, LoRA adapters on a pretrained one, and a connector that has learnt nothing yet
(`trained_parts`). The step with the lowest validation loss is kept, or the one whose greedy reports have the
best labels (``sft.keep``). With ``sft.patience`` it trains until neither gets better: what RFT gains over an
SFT stopped early, more SFT may give.

Two optional terms help a policy that starts from noise on varied reports; `sft_terms` has them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn

from radflow import config
from radflow.config import Recipe
from radflow.errors import TrainingError
from radflow.files import read_json, write_json
from radflow.policy import Policy, greedy_texts, save_policy
from radflow.policy.families import bare
from radflow.policy.load import checkpoint_activations, save_merged
from radflow.readers import assertions, labeler
from radflow.studies import Study
from radflow.training.examples import IGNORED, Example, make_examples, to_tensors
from radflow.training.loop import TrainingLoop
from radflow.training.schedule import epoch_batches, warmup_cosine, warmup_stable_decay
from radflow.training.sft_terms import LabelProbe, SentenceRarity, label_vectors, make_probe
from radflow.training.trained_parts import own_dtype, parameter_groups, round_back, whole_weights
from radflow.training.validation import references, report_figures
from radflow.workspace import Workspace


class SftModel(nn.Module):
    """The policy's model and its loss in one module, so that a data-parallel wrapper sees one forward."""

    def __init__(self, model: nn.Module, probe: LabelProbe | None, label_loss: float) -> None:
        super().__init__()
        self.model = model
        self.probe = probe
        self.label_loss = label_loss
        # Whole weights train in float32, also where the rest of the model has fewer bits.
        self._dtype = own_dtype(model)
        self._mixed = self._dtype != torch.float32 and bool(whole_weights(model))
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
        with torch.autocast(targets.device.type, self._dtype, enabled=self._mixed):
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
    trained: str = "",
) -> Path:
    """Fine-tune; write the best policy to ``sft/model``, and ``sft/summary.json``.

    Args:
        workspace: the run's folder; checkpoints, metrics and the log go there.
        recipe: the section ``sft``.
        policy: what `load_policy` gave, with trainable weights.
        train: studies to learn from.
        validate: studies that choose the checkpoint.
        accelerator: one process, or many.
        trained: what trains, in words for the summary.

    Raises:
        TrainingError: there is nothing to train on or to choose the step by, or the loss is not finite.
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
    some = validate[: knobs.validation_studies]
    held_out = make_examples(policy, some, rarity=rarity)
    diagnose = None
    if knobs.keep == "diagnosis":
        if not assertions(labeler(some[0].modality)(references(some))).any():
            raise TrainingError(
                f"sft.keep: expected validation studies with a positive label for diagnosis, got {len(some)} "
                "without; raise sft.validation_studies, or set it to loss"
            )

        def diagnose() -> dict[str, float]:
            return report_figures(list(greedy_texts(policy, recipe, some)), some)

    return SftLoop(workspace, knobs, policy, examples, held_out, accelerator, trained, diagnose).run()


def sft_warnings(folder: Path) -> list[str]:
    """What a reader of the run must be told about the SFT model that RFT is compared with."""
    summary = read_json(folder / "summary.json")
    if summary["converged"]:
        return []
    rising = ", or the macro F1 of its labels rising," if summary["keep"] == "diagnosis" else ""
    return [
        f"SFT had not converged: its validation loss was still falling{rising} when it ended. What RFT "
        "gains, more SFT might gain as well; raise sft.epochs, and set sft.patience to let SFT end by itself."
    ]


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
        trained: str = "",
        diagnose: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self.knobs, self.examples, self.held_out, self.trained = knobs, examples, held_out, trained
        self.diagnose = diagnose
        self.batch = knobs.batch_size * knobs.accumulation * accelerator.num_processes
        self.per_epoch = math.ceil(len(examples) / self.batch)
        self.label_steps = round(knobs.label_epochs * self.per_epoch)
        self._order: tuple[int, list[list[int]]] | None = None
        torch.manual_seed(workspace.seed(self.stage, "init"))
        labels = examples[0].labels
        steps = max(1, round(knobs.epochs * self.per_epoch))
        if knobs.gradient_checkpointing:
            checkpoint_activations(policy)
        probe = make_probe(policy, len(labels)) if labels else None
        module = SftModel(policy.model, probe, knobs.label_loss)
        super().__init__(
            workspace,
            policy,
            accelerator,
            knobs,
            module,
            groups=parameter_groups(module, policy.model, knobs),
            steps=self.label_steps + steps,
            state={
                "best_loss": math.inf,
                "lowest_step": -1,
                "best_macro_f1": -math.inf,
                "best_step": -1,
                "stale": 0,
                "decay_from": self.label_steps + max(1, round(steps / (1 + knobs.decay))),
                "plateau": False,
            },
            weight_decay=knobs.weight_decay,
        )

    def rate(self, step: int) -> float:
        """One warm-up and cosine for the labels alone; for the words another, or what suits ``patience``."""
        knobs, first = self.knobs, self.label_steps
        if step < first:
            factor = warmup_cosine(step, steps=first, warmup=knobs.warmup_steps)
        elif knobs.patience:
            factor = warmup_stable_decay(
                step - first,
                warmup=knobs.warmup_steps,
                decay_from=self.state["decay_from"] - first,
                steps=self.steps - first,
            )
        else:
            factor = warmup_cosine(step - first, steps=self.steps - first, warmup=knobs.warmup_steps)
        return knobs.learning_rate * factor

    def step(self, step: int) -> tuple[dict[str, Any], int]:
        """One optimiser step."""
        words = step >= self.label_steps
        torch.manual_seed(self.workspace.seed(self.stage, "step", step, self.accelerator.process_index))
        self.model.train()
        part = [self.examples[i] for i in self._indices(step)]
        size, loss, plain = self.knobs.batch_size, 0.0, 0.0
        for at in range(0, len(part), size):
            batch = part[at : at + size]
            inputs = to_tensors(self.policy, batch, self.accelerator.device, words=words)
            last = at + size >= len(part)
            if last and step + 1 < self.steps:
                self.policy.encoder.ahead(self.examples[i].study for i in self._indices(step + 1))
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                cost, nll = self.model(*inputs)
                if not torch.isfinite(cost):
                    knob = f"{self.stage.partition('/')[0]}.learning_rate"
                    raise TrainingError(
                        f"{self.stage}: the loss at step {step} is {cost.item()}; lower {knob}"
                    )
                share = _weight(batch) / _weight(part) if words else len(batch) / len(part)
                self.accelerator.backward(cost * share)
            loss += cost.item() * share
            plain += nll.item() * sum(len(e.tokens) for e in batch) / sum(len(e.tokens) for e in part)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.knobs.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        value = {"loss": plain} if words else {"label_loss": loss}
        return {**value, "grad_norm": float(norm)}, sum(len(e.tokens) for e in part) * words

    def validate(self, done: int) -> tuple[dict[str, float], bool]:
        """The validation loss, once words are learnt; with ``keep = "diagnosis"`` also the labels."""
        if done <= self.label_steps:
            return {}, False
        loss = self._validation_loss()
        figures, said = {"loss": loss}, f"validation loss {loss:.4f}"
        best = lower = loss < self.state["best_loss"]
        if lower:
            self.state |= {"best_loss": loss, "lowest_step": done}
        if self.diagnose is not None:
            figures |= self.diagnose()
            best = figures["macro_f1"] > self.state["best_macro_f1"]
            self.state["best_macro_f1"] = max(figures["macro_f1"], self.state["best_macro_f1"])
            said += f", macro F1 {figures['macro_f1']:.3f}, {figures['positives']:.2f} positives per report"
        self.workspace.say(f"sft: step {done}/{self.steps} {said}")
        if best:
            self.state["best_step"] = done
        if best or lower:
            self.state["stale"] = 0
        elif self.knobs.patience:
            self._lose_patience(done)
        return {f"validation_{name}": value for name, value in figures.items()}, best

    def _lose_patience(self, done: int) -> None:
        """Count a validation that is in nothing the best; after ``patience`` of them begin the decay."""
        self.state["stale"] += 1
        if self.state["stale"] >= self.knobs.patience and done < self.state["decay_from"]:
            decay = max(1, round(self.knobs.decay * (done - self.label_steps)))
            self.state |= {"plateau": True, "decay_from": done, "steps": min(self.steps, done + decay)}
            self.workspace.say(f"sft: nothing better in {self.knobs.patience} validations; the rate decays")

    def save(self, folder: Path) -> None:
        """Write the adapter where it alone has trained, else the whole model with it folded in."""
        whole = bool(whole_weights(self.policy.model))
        round_back(self.policy.model)
        (save_merged if whole else save_policy)(self.policy, folder)

    def conclude(self) -> None:
        """Which step was kept, and whether SFT converged: in ``sft/summary.json`` and in the log."""
        keep, step = self.knobs.keep, self.state["best_step"]
        name = "best_macro_f1" if keep == "diagnosis" else "best_loss"
        last = max(step, self.state["lowest_step"])
        summary = {
            "trained": self.trained,
            "keep": keep,
            name: self.state[name],
            "best_step": step,
            "steps": self.steps,
            # A decaying rate lowers the loss to the end, so with patience the constant phase decides.
            "converged": self.state["plateau"] if self.knobs.patience else last < self.steps,
        }
        write_json(self.workspace.path("sft", "summary.json"), summary)
        what = "macro F1" if keep == "diagnosis" else "loss"
        self.workspace.say(f"sft: best validation {what} {summary[name]:.4f} at step {step} of {self.steps}")
        for warning in sft_warnings(self.workspace.path("sft")):
            self.workspace.say(f"sft: {warning}")

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


def _weight(examples: Sequence[Example]) -> float:
    """Of all tokens of some examples in a mean over them."""
    return sum(sum(e.weights) for e in examples)
