"""The recipe: every knob of a run, on one page.

A recipe is a sparse TOML file over these models: what it does not name keeps the default below. Unknown keys
are errors, with a suggestion. ``load_recipe("r.toml", {"rft.steps": "20"})`` applies overrides the way
``radflow run r.toml --rft.steps 20`` does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radflow.errors import MissingFileError, RecipeError, did_you_mean

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the recipe: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Data(Section):
    """Which studies, and where they come from."""

    source: Literal["carotid-phantom", "open-i", "manifest"] = "carotid-phantom"
    """The data set to prepare, or ``manifest`` for one already prepared."""
    manifest: Path | None = None
    """The studies.jsonl to use when the source is ``manifest``; relative to the recipe."""
    images: Path | None = None
    """Folder of real images for ``open-i``; without it the images are drawn, and every table says so."""
    count: Count = 12_000
    """How many studies a phantom set draws, or at most how many reports Open-i gives."""
    image_size: Count = 192
    """Edge of a drawn image in pixels."""
    max_bad_share: Share = 0.05
    """The run stops when more than this share of the studies is unusable."""


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
    max_prompt_tokens: Count = 2_048
    """A longer prompt is an error that names the study."""
    max_new_tokens: Count = 160
    """Longest report, in tokens."""
    image_features: Literal["memory", "disk", "off"] = "memory"
    """Where the output of a frozen vision tower is kept: in memory, also in the run's folder, or nowhere."""
    image_features_gib: Positive = 2.0
    """At most this many GiB of them in each place; the least recently used go first."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run. Never set by radflow itself."""


class Sft(Section):
    """Supervised fine-tuning on image-report pairs; it gives the reference policy."""

    epochs: Positive = 8.0
    """Passes over the training split."""
    batch_size: Count = 16
    """Studies per optimiser step, on each process."""
    learning_rate: Positive = 2e-3
    """Peak rate; 2e-3 suits the tiny policy, 1e-4 to 1e-5 a pretrained one."""
    warmup_steps: Annotated[int, Field(ge=0)] = 60
    """Steps of linear warm-up, before a cosine decay to a tenth."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """AdamW's decoupled weight decay."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    label_loss: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of an auxiliary loss that reads the report's labels off the visual tokens and off the language
    model's state before the first word; 0: none."""
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
    """``hardest`` is the paper's; ``balanced`` takes the hardest within critical and normal studies apart, in
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
    judge: str = "rules"
    """Who says whether the Impression follows from the Findings."""


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
    """Compute activations again in the backward pass: less memory, a third more work."""
    steps: Count = 14
    """Rollouts in all."""
    inner_steps: Count = 2
    """Optimiser steps on each rollout. With 1 the ratio is exactly 1 and no clip ever binds: refused."""
    scale_rewards: bool = True
    """Divide the advantage by the group's standard deviation (Eq. 1); false is Dr. GRPO's choice."""
    learning_rate: Positive = 2e-3
    """Constant after warm-up; the paper's 1e-5 belongs to a 3B model."""
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
    """Tokens below this share of the likeliest one's probability are not sampled; as for top_p."""
    stale_updates: Annotated[int, Field(ge=0, le=1)] = 0
    """0: every rollout is sampled by the present policy. 1: by the policy before the last update, so that
    sampling and updating go on while rewards are computed."""
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
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    """Coverage of the intervals."""
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
    data: Data = Data()
    policy: Policy = Policy()
    sft: Sft = Sft()
    exploration: Exploration = Exploration()
    reward: Reward = Reward()
    rft: Rft = Rft()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _manifest_is_named(self) -> Recipe:
        if self.data.source == "manifest" and self.data.manifest is None:
            raise ValueError("expected data.manifest to name a studies.jsonl when data.source is 'manifest'")
        return self


_PATHS = ("data.manifest", "data.images")
"""Written absolute, so that the recipe in a run's folder means the same as the one it came from."""


def load_recipe(path: Path | str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe file and apply ``section.key`` overrides.

    Relative ``data.manifest`` and ``data.images`` in the file are taken from the recipe's folder; ``out`` and
    overrides from the current folder.

    Raises:
        MissingFileError: there is no such file.
        RecipeError: it is not TOML, a key is unknown (with a suggestion), or a value is out of range.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such recipe; `ls recipes` shows the shipped ones") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected TOML, got {error}") from None
    data = raw.get("data")
    if isinstance(data, dict):
        for key in ("manifest", "images"):
            if isinstance(data.get(key), str):
                data[key] = str(path.absolute().parent / Path(data[key]).expanduser())
    for key, value in (overrides or {}).items():
        _assign(raw, key, value if key not in _PATHS else str(Path(value).expanduser().absolute()))
    return make_recipe(raw, where=str(path))


def make_recipe(raw: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """Validate nested dictionaries into a recipe; ``where`` opens every error message.

    >>> make_recipe({"rft": {"steps": 3}}).rft.steps
    3
    >>> make_recipe({"rft": {"stepz": 3}})
    Traceback (most recent call last):
    ...
    radflow.errors.RecipeError: recipe: unknown key 'rft.stepz'. Did you mean 'steps'?
    """
    try:
        return Recipe.model_validate(dict(raw))
    except ValidationError as error:
        raise RecipeError("; ".join(f"{where}: {_explain(e)}" for e in error.errors())) from None


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with every default written out; ``load_recipe`` reads it back."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def _assign(raw: dict[str, Any], dotted: str, value: str) -> None:
    """Set ``raw[a][b] = value`` for ``a.b``; pydantic turns the text into the field's type."""
    *sections, key = dotted.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise RecipeError(f"--{dotted}: '{section}' is a value, not a section")
    raw[key] = value


def _explain(error: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"]]
    dotted = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"unknown key '{dotted}'.{did_you_mean(location[-1], _fields_of(location[:-1]))}"
    if error["type"] == "value_error":
        return f"[{dotted}] {error['ctx']['error']}" if dotted else str(error["ctx"]["error"])
    return f"{dotted}: {error['msg']}, got {error['input']!r}"


def _fields_of(location: list[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
