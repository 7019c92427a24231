"""Every knob of a run, on one page; those of the data are in ``data.py``.

A recipe is a sparse file over these models; see ``radflow.config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from radflow.config.data import Data
from radflow.config.section import Count, Names, Positive, Section, Share, Trackers


class Tiny(Section):
    """The embedded default policy: a LLaVA-type model built from a configuration, trained from scratch."""

    image_size: Count = 96
    """Edge in pixels of what the vision tower sees."""
    patch_size: Count = 16
    """Edge in pixels of one visual token."""
    vision_width: Count = 96
    """Width of the vision tower."""
    vision_layers: Count = 2
    """Layers of the vision tower."""
    text_width: Count = 128
    """Width of the language model."""
    text_layers: Count = 3
    """Layers of the language model."""
    heads: Count = 4
    """Attention heads of both."""
    vocabulary: Annotated[int, Field(ge=300)] = 4_000
    """Largest vocabulary learnt from the training split; frequent words become one token."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Tiny:
        for name, whole, part in (
            ("image_size", self.image_size, self.patch_size),
            ("vision_width", self.vision_width, self.heads),
            ("text_width", self.text_width, 2 * self.heads),  # rotary embeddings turn pairs
        ):
            if whole % part:
                raise ValueError(f"expected {name} to be a multiple of {part}, got {whole}")
        return self


class Policy(Section):
    """The vision-language model that writes reports."""

    model: str = "tiny"
    """``tiny``, or the name or folder of any ``AutoModelForImageTextToText``."""
    tiny: Tiny = Tiny()
    lora_rank: Count = 8
    """Rank of the adapters on the language model (the paper's value)."""
    lora_alpha: Count = 16
    """Scale of the adapters: the update is multiplied by alpha / rank."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto``: bfloat16 on an accelerator that has it, float32 elsewhere."""
    prompt: str = "Write the findings and impression."
    """The instruction; indication and comparison follow where the study has them."""
    prompt_context: bool = True
    """Whether the indication and comparison are part of the prompt."""
    prompt_prior: bool = False
    """Whether the report of the patient's previous study is part of the prompt, if the manifest has one."""
    max_prompt_tokens: Count = 2_048
    """A longer prompt is an error that names the study."""
    image_tokens: Count = 900
    """At most about this many tokens per image, for models to which a larger image is more tokens: Qwen-VL,
    InternVL, Idefics3, SmolVLM. 900 are 840 x 840 pixels to Qwen2.5-VL and one tile of 448 x 448 to
    InternVL (1,280: four tiles); two such images fit into ``max_prompt_tokens``. The processor's own limit
    holds where it is lower."""
    max_new_tokens: Count = 160
    """Longest report, in tokens."""
    image_features: Literal["memory", "disk", "off"] = "memory"
    """Where the output of a frozen vision tower is kept: in memory, also in the run's folder, or nowhere."""
    image_features_gib: Positive = 2.0
    """At most this many GiB of them in each place; the least recently used go first."""
    image_workers: Annotated[int, Field(ge=0)] = 2
    """Threads that decode and resize the next batch's images while the model works; 0: none. No result
    depends on it."""
    image_square: Literal["pad", "crop"] = "pad"
    """What happens to an image that the model's processor would crop to a square (CLIP's and LLaVA 1.5's do):
    padded with black first, so that its borders are seen, or cropped."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run. Never set by radflow itself."""


class Sft(Section):
    """Supervised fine-tuning on image-report pairs; it gives the reference policy."""

    epochs: Positive = 8.0
    """Passes over the training split."""
    batch_size: Count = 16
    """Studies per optimiser step, on each process."""
    learning_rate: Positive = 2e-3
    """Peak learning rate; 2e-3 suits the tiny policy, 1e-4 to 1e-5 a pretrained one."""
    warmup_steps: Annotated[int, Field(ge=0)] = 60
    """Steps of linear warm-up, before a cosine decay to a tenth."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """AdamW's decoupled weight decay."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    label_loss: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of an auxiliary loss that predicts the report's labels from the visual tokens and from the
    language model's state before the first word; 0: none."""
    label_epochs: Annotated[float, Field(ge=0.0)] = 0.0
    """Passes with that loss alone, before those with the reports."""
    token_rarity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Exponent of inverse sentence frequency in the token weights; 0 is the plain mean."""
    validate_every: Count = 100
    """Steps between validation losses; the best checkpoint wins."""
    validation_studies: Count = 200
    """Studies of the validation split behind each validation loss."""
    checkpoint_every: Count = 100
    """Steps between checkpoints that a killed run picks up from."""


class Exploration(Section):
    """Target Exploration: which training studies reinforcement fine-tuning sees (paper, section 4.1)."""

    strategy: Literal["hardest", "random", "balanced", "all"] = "hardest"
    """``hardest`` is the paper's; ``balanced`` takes the hardest critical and the hardest normal studies, in
    the proportion of the split; ``random`` and ``all`` are controls."""
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

    @model_validator(mode="after")
    def _some_weight(self) -> Exploration:
        if self.bleu2 + self.bertscore + self.domain == 0:
            raise ValueError("expected a positive weight for at least one of bleu2, bertscore, domain")
        return self


class Reward(Section):
    """The hierarchical reward, R = syntax + domain + consistency + gamma * impression (Eq. 4-5)."""

    syntax: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_syntax; the paper's is 1."""
    domain: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_domain; the paper's is 1."""
    consistency: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_consistent; the paper's is 1."""
    gamma: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_imp; the paper does not give its value."""
    domain_metric: str | None = None
    """What R_domain is; the modality's metric of content by default, as in the paper. ``finding_match`` sees
    the side, place and degree of what is found in a chest, and what is denied."""
    impression_metric: str | None = None
    """What R_imp is; the modality's F1 of labels by default, as in the paper. Labels have no side."""
    judge: str = "rules"
    """Who says whether the Impression follows from the Findings: ``rules``; ``openai:<model>`` behind any
    OpenAI-compatible endpoint; ``local:<folder>`` with a causal language model. ``[judge]`` says how."""


class Judge(Section):
    """How a judge that is a language model is asked, and what it may be told. The rule judge needs none."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an address may hold a password

    base_url: str = "https://api.openai.com/v1"
    """The endpoint: OpenAI's, or for example http://localhost:8000/v1 (vLLM), :11434/v1 (Ollama)."""
    allow_remote_text: bool = False
    """Report text may leave this machine, to the ``hosts`` and no others. Loopback is this machine."""
    hosts: Names = ()
    """Where text may go then: "api.openai.com", "llm.ward.example:8443", "http://10.0.0.7:8000"."""
    identifiers: Literal["block", "mask", "pass"] = "block"
    """Names, dates and numbers found in a text before it leaves this machine: ``block`` stops the run,
    ``mask`` replaces them by their kind, ``pass`` lets them go."""
    store: Path | None = None
    """Where verdicts are kept, to be shared by runs on this machine; relative to the recipe. The run's folder
    by default."""
    offline: bool = False
    """Ask no judge: every verdict must be in the store already, as when a published run is repeated."""
    on_failure: Literal["stop", "wait"] = "stop"
    """If the judge cannot be reached: stop the run, to be started again later, or ask until it answers."""
    longest_wait: Positive = 24.0
    """Hours that ``wait`` waits for one step's verdicts before the run stops after all."""
    votes: Count = 1
    """An odd number of answers to each question, of which the majority counts."""
    temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """Temperature of the judge's answers; above 0 with more than one vote."""
    concurrency: Count = 16
    """Requests under way at once."""
    timeout: Positive = 60.0
    """Seconds until the whole answer must be there."""
    max_calls: Count | None = None
    """Cap on requests for one start of the run, failed ones included; the run stops there."""
    max_tokens: Count | None = None
    """Cap on tokens, as the server counts them."""
    max_answer_tokens: Count = 64
    """Longest answer in tokens; models that think aloud need a few thousand."""
    collapsed_share: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.98
    """A judge is reported if more than this share of its answers are the same."""

    @field_validator("base_url")
    @classmethod
    def _is_plain_address(cls, url: str) -> str:
        address = urlsplit(url)
        if (
            address.scheme not in ("http", "https")
            or not address.hostname
            or address.username
            or address.query
        ):
            raise ValueError(
                "expected base_url to be an address like http://localhost:8000/v1, without a user, password "
                "or query; got another. A key belongs into RADFLOW_JUDGE_KEY in the environment"
            )
        return url

    @model_validator(mode="after")
    def _votes_can_decide(self) -> Judge:
        if self.votes % 2 == 0:
            raise ValueError(f"expected an odd number of votes, so that one side wins; got {self.votes}")
        if self.votes > 1 and self.temperature == 0:
            raise ValueError(
                f"expected a temperature above 0 (0.7, say) with {self.votes} votes, or votes = 1: at 0 "
                "every vote is the same"
            )
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
    """Divide the advantage by the group's standard deviation (Eq. 1); false is Dr. GRPO's choice."""
    learning_rate: Positive = 2e-3
    """Learning rate, constant after warm-up; the paper's 1e-5 is for a 3B model."""
    warmup_steps: Annotated[int, Field(ge=0)] = 2
    """Rollouts of linear warm-up."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    beta: Annotated[float, Field(ge=0.0)] = 0.04
    """Weight of the KL term against the reference policy."""
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


class Evaluation(Section):
    """The evaluation on the test split."""

    studies: Count | None = None
    """Evaluate at most this many test studies, drawn at random; all when not given."""
    batch_size: Count = 64
    """Studies decoded together."""
    resamples: Count = 1_000
    """Bootstrap resamples behind each interval."""
    metrics: Names | None = None
    """Metrics of the tables, of those of ``radflow score``; all that apply and can be computed, without
    ``consistency``, when not given."""
    judge: str | None = None
    """Who judges ``consistency``, a name as in ``reward.judge``; that one when not given."""
    chexbert: str | None = None
    """Folder of CheXbert, for CheXpert F1, SembScore and RadCliQ, as ``radflow score --chexbert``."""
    radgraph: str | None = None
    """Folder of RadGraph, for RadGraph F1 and RadCliQ."""
    bertscore: str | None = None
    """Folder of distilroberta-base with ``@5``, for BERTScore and RadCliQ."""
    cases: Annotated[int, Field(ge=0)] = 24
    """Cases shown side by side on the page."""


class Recipe(Section):
    """A whole run."""

    name: str = "radflow"
    """Printed on every table and page."""
    seed: int = 0
    """Every random choice of the run follows from it."""
    out: Path = Path("runs/radflow")
    """The run's folder; everything the run writes is in it."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of torch; 0 leaves torch's own choice."""
    track: Trackers = ()
    """Experiment trackers that get the numbers of each step, and no text: ``tensorboard``, ``wandb``,
    ``mlflow``, ``trackio``."""
    data: Data = Data()
    policy: Policy = Policy()
    sft: Sft = Sft()
    exploration: Exploration = Exploration()
    reward: Reward = Reward()
    judge: Judge = Judge()
    rft: Rft = Rft()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _manifest_is_named(self) -> Recipe:
        if self.data.source == "manifest" and self.data.manifest is None:
            raise ValueError("expected data.manifest to name a studies.jsonl when data.source is 'manifest'")
        return self

    @model_validator(mode="after")
    def _root_is_named(self) -> Recipe:
        source = self.data.source
        if source not in ("carotid-phantom", "iu-xray", "open-i", "manifest") and self.data.root is None:
            raise ValueError(f"expected data.root to name the folder of the data set {source!r}")
        return self
