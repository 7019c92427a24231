"""The recipe's sections ``sft``, ``exploration``, ``rft`` and ``controls``: how the policy learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from radflow.config.section import Count, Positive, Rates, Section, Share, Terms


class Sft(Section):
    """Supervised fine-tuning on image-report pairs; it gives the reference policy."""

    epochs: Positive = 8.0
    """Passes over the training split; with ``patience`` at most this many."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Validations with nothing better after which SFT has converged: no new lowest loss, and with ``keep =
    "diagnosis"`` no new best macro F1 either. The learning rate, constant until then, falls to 0 and SFT
    ends. 0: a cosine over all ``epochs``."""
    keep: Literal["loss", "diagnosis"] = "loss"
    """What the kept step is best at: the validation ``loss``, or the ``diagnosis``: the macro F1 of labels of
    greedy reports, one per validation study and validation, as in ``rft.keep``."""
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """With ``patience``: steps of that fall, as a share of those before it."""
    batch_size: Count = 16
    """Studies per batch, on each process."""
    learning_rate: Positive = 2e-3
    """Peak learning rate; 2e-3 suits the tiny policy, 1e-4 to 1e-5 a pretrained one."""
    warmup_steps: Annotated[int, Field(ge=0)] = 60
    """Steps of linear warm-up, before a constant rate (``patience``) or a cosine decay to a tenth."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """AdamW's decoupled weight decay."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    language: Literal["auto", "lora", "full", "frozen"] = "auto"
    """What trains of the language model. ``auto``: LoRA on a pretrained one (all of it with
    ``policy.lora_rank = 0``), all of the tiny policy's."""
    vision: Annotated[str, Field(pattern=r"^(auto|none|all|last:[1-9]\d*)$")] = "auto"
    """What trains of the vision tower: ``none``, ``all``, or ``last:N``, its last N layers (stages of a
    hierarchical one). ``auto``: nothing of a pretrained one, all of the tiny policy's own."""
    connector: Literal["auto"] | bool = "auto"
    """Whether the connector trains. ``auto``: where it has learnt nothing yet, in the tiny policy and in what
    ``radflow assemble`` wrote."""
    vision_learning_rate: Positive | None = None
    """Peak learning rate of the vision tower; ``learning_rate`` when not given."""
    connector_learning_rate: Positive | None = None
    """Peak learning rate of the connector; ``learning_rate`` when not given."""
    accumulation: Count = 1
    """Batches per optimiser step; the gradient is that of one batch as large as all of them."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more work."""
    label_loss: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of an auxiliary loss that predicts the report's labels from the visual tokens and from the
    language model's state before the first word; 0: none."""
    label_epochs: Annotated[float, Field(ge=0.0)] = 0.0
    """Passes with that loss alone, before those with the reports."""
    token_rarity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Exponent of inverse sentence frequency in the token weights; 0 is the plain mean."""
    validate_every: Count = 100
    """Steps between validations; the step that is kept is chosen on them."""
    validation_studies: Count = 200
    """Studies of the validation split behind each."""
    checkpoint_every: Count = 100
    """Steps between checkpoints that a killed run picks up from."""


class Exploration(Section):
    """Target Exploration: which training studies reinforcement fine-tuning sees (paper, section 4.1)."""

    strategy: Literal["hardest", "balanced", "learnable", "random", "all"] = "hardest"
    """``hardest`` is the paper's; ``balanced`` takes the hardest critical and the hardest normal studies;
    ``learnable`` those whose samples differ most in the label metric; ``random`` and ``all`` are controls."""
    keep_percent: Annotated[float, Field(gt=0.0, le=100.0)] = 10.0
    """Share of the training split to keep, in percent (the paper's bottom-k)."""
    threshold: float | None = None
    """Keep the studies scoring below this instead of a percentage."""
    normalise: Literal["minmax", "rank"] = "minmax"
    """How each metric is put on a common scale over the split."""
    bleu2: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of BLEU-2 in the score."""
    bertscore: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of BERTScore in the score."""
    domain: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the medical content in the score: RadGraph F1, or KeyWordMatch on ultrasound."""
    studies: Count | None = None
    """Predict on at most this many training studies, drawn at random; all when not given."""
    samples: Annotated[int, Field(ge=2)] = 8
    """Reports per study that ``learnable`` samples, as ``rft`` would; their spread decides."""
    critical_share: Share | None = None
    """Share of critical studies that ``balanced`` and ``learnable`` aim at; the split's when not given."""
    refresh_every: Annotated[int, Field(ge=0)] = 0
    """Rollouts after which RFT scores all candidates with its present weights and picks anew; 0: never."""

    @model_validator(mode="after")
    def _some_weight(self) -> Exploration:
        if self.bleu2 + self.bertscore + self.domain == 0:
            raise ValueError("expected a positive weight for at least one of bleu2, bertscore, domain")
        return self

    @model_validator(mode="after")
    def _knobs_of_the_strategy(self) -> Exploration:
        if self.strategy == "learnable" and self.threshold is not None:
            raise ValueError(
                "expected no threshold with the strategy learnable, which has a spread and no score"
            )
        if self.critical_share is not None and (
            self.strategy not in ("balanced", "learnable") or self.threshold is not None
        ):
            raise ValueError(
                "expected critical_share with the strategy balanced or learnable and no threshold, got "
                f"{self.strategy}; the others take critical studies as they come"
            )
        if self.strategy == "all" and self.refresh_every:
            raise ValueError("expected refresh_every = 0 with the strategy all, which always picks the same")
        return self


class Rft(Section):
    """Reinforcement fine-tuning with CAPO (Eq. 8-9)."""

    group_size: Annotated[int, Field(ge=2)] = 4
    """G, completions per study (the paper's 4)."""
    studies_per_step: Count = 16
    """Studies per rollout, on each process."""
    tokens_per_pass: Count = 8_192
    """Tokens per forward pass. Memory grows with it; the gradient does not change. A group is never split."""
    shared_prefix: bool = True
    """Run each prompt once for the G completions of its group; false: once for each completion."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more work."""
    steps: Count = 14
    """Rollouts in all."""
    inner_steps: Count = 2
    """Optimiser steps on each rollout. With 1 the ratio is exactly 1 and no clip ever binds: refused."""
    scale_rewards: bool = True
    """Divide the advantage by the group's standard deviation (Eq. 1); false is Dr. GRPO's choice. For
    ``advantage = "sum"``."""
    advantage: Literal["sum", "decoupled"] = "sum"
    """``sum`` normalises the total reward in each group (Eq. 1). ``decoupled`` normalises each term by
    itself, adds them up with their weights and whitens over the step (GDPO), so that no term is drowned by
    one that spreads more."""
    deviation: Literal["group", "batch"] = "group"
    """Whose standard deviation divides a term of ``decoupled``: its group's, or that of all its values in the
    step."""
    deviation_floor: Annotated[float, Field(ge=0.0)] = 0.05
    """The least standard deviation that a term of ``decoupled`` is divided by, so that differences of
    hundredths stay small; 0 is GDPO's."""
    conditioned: Terms = ()
    """Terms that count only where the diagnosis (R_imp) is at or above its group's mean: "consistency",
    "syntax". Elsewhere they earn the least of the group."""
    balance_classes: bool = False
    """Let studies with and without positive labels in their reference weigh the same in every step, however
    many there are of each; with ``decoupled`` they are also whitened apart."""
    learning_rate: Positive = 2e-3
    """Learning rate, constant after warm-up; the paper's 1e-5 is for a 3B model."""
    warmup_steps: Annotated[int, Field(ge=0)] = 2
    """Rollouts of linear warm-up."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    beta: Annotated[float, Field(ge=0.0)] = 0.04
    """Weight of the KL term against the reference policy. It stands against advantages: without their
    deviation (``scale_rewards = false``) the same number holds the policy back more, the smaller the spread
    of the rewards."""
    epsilon: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """The clipping range of normal cases."""
    divisor: Annotated[float, Field(ge=1.0)] = 4.0
    """Critical cases are clipped at epsilon / divisor (Eq. 9); 1 gives GRPO."""
    kl: Literal["outside", "literal"] = "outside"
    """Where the KL term stands: after the minimum, or inside it as Eq. 8 is printed."""
    epsilon_high: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Upper range of normal cases where it differs from the lower (DAPO's decoupled clip); critical cases are
    clipped at epsilon_high / divisor."""
    ratio: Literal["token", "sequence"] = "token"
    """What is clipped: each token's ratio (Eq. 2), or the completion's (GSPO; its epsilon is near 3e-4)."""
    normaliser: Literal["completion", "constant"] = "completion"
    """Token sums are divided by the completion's length (Eq. 8), or by policy.max_new_tokens (Dr. GRPO)."""
    shift_guard: Literal["off", "stop", "bound"] = "stop"
    """``stop``: a group whose measured policy shift passes its clipping range takes no further inner step.
    ``bound``: the whole update is also shrunk until no group has moved further, for a pass or more."""
    exact_shift_every: Annotated[int, Field(ge=0)] = 2
    """Rollouts between measurements of the policy shift over the whole vocabulary, on one critical and one
    normal group; 0: never."""
    dynamic_sampling: Annotated[int, Field(ge=0)] = 0
    """Rounds in which groups of equal rewards are replaced by other studies (DAPO's dynamic sampling)."""
    label_tokens: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """How much more of a completion's advantage the words that decide a label have: each of their tokens has
    ``1 + label_tokens`` times what another has; the mean over the completion stays. 0: all have the same."""
    edited: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of each group that is mended with sentences of the reference (EditGRPO: 0.5); 0: none."""
    temperature: Positive = 1.0
    """Sampling temperature of rollouts."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Nucleus of rollouts; below 1 the sampled distribution is not the one that is optimised."""
    min_p: Share = 0.0
    """Tokens less likely than this share of the most likely one are not sampled; see top_p."""
    validate_every: Count = 2
    """Rollouts between validations; the best step is chosen on them, step 0 included."""
    validation_studies: Count = 150
    """Studies of the validation split behind each."""
    keep: Literal["reward", "diagnosis"] | None = None
    """What the kept step is best at: ``reward``, where label F1 did not fall; ``diagnosis``, the macro F1 of
    labels, where the reward did not fall and the reports assert about as much as the references. The
    reward's preset decides when not given: ``reward`` with ``paper``."""
    positives_within: Positive = 0.5
    """How far from the references' positives per report a step may be for ``keep = "diagnosis"``, as a share
    of them; one that is closer than step 0 may be further off."""
    checkpoint_every: Count = 2
    """Rollouts between checkpoints that a killed run picks up from."""

    @model_validator(mode="after")
    def _clip_can_bind(self) -> Rft:
        if self.inner_steps < 2:
            raise ValueError(
                "expected inner_steps of at least 2, got 1: with one optimiser step per rollout the ratio is "
                "exactly 1, no clip ever binds and CAPO is GRPO; raise rft.inner_steps"
            )
        return self


class Controls(Section):
    """Trained controls of ``evaluation.controls``: what else the compute of RFT could have bought."""

    learning_rate: Rates = ()
    """Peak learning rate, with SFT's warm-up and cosine; RFT's own when not given. Of several, each gets the
    whole compute, and validation chooses among all their steps."""
    best_of: Annotated[int, Field(ge=2)] | None = None
    """Reports sampled per explored study for ``best-of-n``; ``rft.group_size`` when not given."""
