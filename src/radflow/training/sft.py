"""Supervised fine-tuning on image-report pairs, which gives the reference policy (paper, section 4.1).

The loss is on the report only, as in any instruction tuning. The tiny policy trains all of its weights, a
pretrained one its LoRA adapters. The checkpoint with the lowest validation loss wins.

Two optional terms help a policy that starts from noise on varied reports; `sft_terms` has them.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn

from radflow.config import Recipe
from radflow.errors import TrainingError
from radflow.policy import Policy, PromptEncoder, save_policy
from radflow.policy.load import unwrap
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.reports import render_report
from radflow.studies import Study
from radflow.training.checkpoint import (
    load_checkpoint,
    restore_weights,
    save_checkpoint,
    trainable_weights,
)
from radflow.training.schedule import epoch_batches, warmup_cosine
from radflow.training.sft_terms import LabelProbe, SentenceRarity, make_probe
from radflow.workspace import Workspace, replaced_folder

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Example:
    """One training pair.

    Attributes:
        study: whose picture and prompt.
        tokens: the report, with its end token.
        weights: one weight a token, mean about 1.
        labels: binary label vector of the report, or ``None`` without the auxiliary loss.
    """

    study: Study
    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    labels: tuple[float, ...] | None


def report_text(study: Study) -> str:
    """What the policy learns to write: the sections in canonical form, or the whole text without sections."""
    report = study.reference
    return render_report(report.findings, report.impression) if report.sectioned else report.text


def make_examples(
    policy: Policy,
    studies: Sequence[Study],
    *,
    rarity: SentenceRarity,
    labels: Sequence[Sequence[float]] | None = None,
) -> list[Example]:
    """Tokenise the reports once."""
    end = policy.end_ids[0]
    examples = []
    for i, study in enumerate(studies):
        text = report_text(study)
        coded = policy.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        weights = rarity(text, coded["offset_mapping"])
        examples.append(
            Example(
                study=study,
                tokens=(*coded["input_ids"], end),
                weights=(*weights, 1.0),
                labels=tuple(labels[i]) if labels is not None else None,
            )
        )
    return examples


class SftModel(nn.Module):
    """The policy's model and its loss in one module, so that a data-parallel wrapper sees one forward."""

    def __init__(self, model: nn.Module, probe: LabelProbe | None, label_loss: float) -> None:
        super().__init__()
        self.model = model
        self.probe = probe
        self.label_loss = label_loss
        self._can_keep = "logits_to_keep" in inspect.signature(unwrap(model).forward).parameters

    def forward(
        self,
        batch: dict[str, Tensor],
        targets: Int[Tensor, "N L"],
        weights: Float[Tensor, "N L"],
        last: Int[Tensor, "N"],
        labels: Float[Tensor, "N K"] | None,
    ) -> tuple[Tensor, Tensor]:
        """The training loss, and the plain mean negative log-likelihood a token for the log.

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
    encoder: PromptEncoder,
    *,
    train: Sequence[Study],
    validate: Sequence[Study],
    accelerator: Accelerator,
    label_vectors: Callable[[Sequence[Study]], list[list[float]]] | None = None,
) -> Path:
    """Fine-tune, and save the best policy to ``sft/model``.

    Args:
        workspace: the run's folder; checkpoints, metrics and the log go there.
        recipe: the section ``sft``.
        policy: what `load_policy` gave, with trainable weights.
        encoder: of the same policy.
        train: studies to learn from.
        validate: studies that choose the checkpoint.
        accelerator: one process, or many.
        label_vectors: gives the binary label vectors of studies, for the auxiliary loss.

    Raises:
        TrainingError: there is nothing to train on, or the loss is not finite.
    """
    knobs = recipe.sft
    if not train or not validate:
        raise TrainingError(
            f"sft: expected studies to train and validate on, got {len(train)} and {len(validate)}"
        )
    if knobs.label_epochs > 0 and (label_vectors is None or knobs.label_loss == 0):
        raise TrainingError("sft.label_epochs: expected sft.label_loss above 0 with it, got 0; set it to 1")
    validate = validate[: knobs.validation_studies]
    vectors = label_vectors(train) if label_vectors is not None and knobs.label_loss > 0 else None
    rarity = SentenceRarity([report_text(s) for s in train], knobs.token_rarity)
    examples = make_examples(policy, train, rarity=rarity, labels=vectors)
    held_out = make_examples(policy, validate, rarity=rarity)
    lengths = [len(e.tokens) for e in examples]

    torch.manual_seed(workspace.seed("sft", "init"))
    probe = make_probe(policy, len(vectors[0])) if vectors else None
    wrapped = SftModel(policy.model, probe, knobs.label_loss)
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=knobs.learning_rate, weight_decay=knobs.weight_decay)
    model, optimizer = accelerator.prepare(wrapped, optimizer)

    ranks, rank = accelerator.num_processes, accelerator.process_index
    global_batch = knobs.batch_size * ranks
    per_epoch = math.ceil(len(examples) / global_batch)
    warm = round(knobs.label_epochs * per_epoch)
    steps = warm + max(1, round(knobs.epochs * per_epoch))
    inner = accelerator.unwrap_model(model)
    checkpoint = workspace.path("sft", "checkpoint")
    state: dict[str, Any] = {"step": 0, "best_loss": math.inf, "best_step": -1}
    best: dict[str, Tensor] | None = None
    loaded = load_checkpoint(checkpoint, model=inner, optimizer=optimizer)
    if loaded is not None:
        state, best = loaded
        workspace.say(f"sft: picking up at step {state['step']} of {steps}")
    workspace.forget_metrics("sft", after=state["step"])

    def validation_loss() -> float:
        model.eval()
        total = torch.zeros(2, device=accelerator.device)
        with torch.no_grad():
            for i in range(rank * knobs.batch_size, len(held_out), global_batch):
                part = held_out[i : i + knobs.batch_size]
                _, plain = model(*_tensors(policy, encoder, part, accelerator.device))
                tokens = sum(len(e.tokens) for e in part)
                total += torch.tensor([plain.item() * tokens, tokens], device=accelerator.device)
        total = accelerator.reduce(total, reduction="sum")
        return float(total[0] / total[1])

    clock, seen = time.perf_counter(), 0
    order: list[list[int]] | None = None
    with workspace.track("SFT", steps) as advance:
        advance(state["step"])
        for step in range(state["step"], steps):
            epoch, position = divmod(step, per_epoch)
            if position == 0 or order is None:
                order = epoch_batches(lengths, global_batch, seed=workspace.seed("sft", "epoch", epoch))
            indices = order[position][rank::ranks] or order[position][:1]
            words = step >= warm
            rate = knobs.learning_rate * _factor(step, warm=warm, steps=steps, warmup=knobs.warmup_steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(workspace.seed("sft", "step", step, rank))
            model.train()
            part = [examples[i] for i in indices]
            loss, plain = model(*_tensors(policy, encoder, part, accelerator.device, words=words))
            if not torch.isfinite(loss):
                raise TrainingError(f"sft: the loss at step {step} is {loss.item()}; lower sft.learning_rate")
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), knobs.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            seen += sum(len(e.tokens) for e in part) * ranks * words
            advance(1)

            row: dict[str, Any] = {"learning_rate": rate}
            row |= {"loss": plain.item()} if words else {"label_loss": loss.item()}
            last = step + 1 == steps
            if words and ((step + 1) % knobs.validate_every == 0 or last):
                row["validation_loss"] = validation_loss()
                row["tokens_per_second"] = seen / (time.perf_counter() - clock)
                clock, seen = time.perf_counter(), 0
                if row["validation_loss"] < state["best_loss"]:
                    state |= {"best_loss": row["validation_loss"], "best_step": step + 1}
                    best = trainable_weights(inner)
                workspace.say(f"sft: step {step + 1}/{steps} validation loss {row['validation_loss']:.4f}")
            state["step"] = step + 1
            workspace.log("sft", step + 1, row)
            if accelerator.is_main_process and ((step + 1) % knobs.checkpoint_every == 0 or last):
                save_checkpoint(checkpoint, model=inner, optimizer=optimizer, state=state, best=best)

    if best is not None:
        restore_weights(inner, best)
    folder = workspace.path("sft", "model")
    if accelerator.is_main_process:
        with replaced_folder(folder) as fresh:
            save_policy(policy, fresh)
        workspace.say(f"sft: best validation loss {state['best_loss']:.4f} at step {state['best_step']}")
    accelerator.wait_for_everyone()
    return folder


def _factor(step: int, *, warm: int, steps: int, warmup: int) -> float:
    """The factor on the peak rate: one warm-up and cosine for the labels alone, one for the words."""
    if step < warm:
        return warmup_cosine(step, steps=warm, warmup=warmup)
    return warmup_cosine(step - warm, steps=steps - warm, warmup=warmup)


def _tensors(
    policy: Policy,
    encoder: PromptEncoder,
    examples: Sequence[Example],
    device: torch.device,
    *,
    words: bool = True,
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor | None]:
    """Model inputs, targets and weights ``(N, L)``, the position of each prompt's last token, labels.

    Without ``words`` the reports are left out.
    """
    if not words:
        examples = [replace(e, tokens=(), weights=()) for e in examples]
    prompts: list[EncodedPrompt] = [encoder(e.study) for e in examples]
    batch = collate(prompts, [e.tokens for e in examples], pad_id=policy.pad_id, device=device)
    targets = torch.full_like(batch["input_ids"], IGNORED)
    weights = torch.zeros(targets.shape, device=device)
    for row, (prompt, example) in enumerate(zip(prompts, examples, strict=True)):
        start = len(prompt.input_ids)
        stop = start + len(example.tokens)
        targets[row, start:stop] = batch["input_ids"][row, start:stop]
        weights[row, start:stop] = torch.tensor(example.weights)
    last = torch.tensor([len(p.input_ids) - 1 for p in prompts], device=device)
    has_labels = examples[0].labels is not None
    labels = torch.tensor([e.labels for e in examples], device=device) if has_labels else None
    return batch, targets, weights, last, labels
