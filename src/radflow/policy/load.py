"""Load any ``AutoModelForImageTextToText`` by name or folder, put LoRA on its language model, save it.

    a full model folder      config.json and weights: a hub name, a download, or the tiny policy after SFT
    an adapter folder        adapter_config.json: an ordinary PEFT folder on the base model it names

Weights are read from safetensors; code that comes with a model runs only when the recipe says so.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from radflow import config as recipe
from radflow.errors import MissingFileError, TrainingError
from radflow.files import read_json, write_json
from radflow.folders import check_model
from radflow.policy.adapters import put_on
from radflow.policy.chat import chat_text
from radflow.policy.families import bare, parts_of
from radflow.policy.images.features import FeatureStore, ImageFeatures
from radflow.policy.images.image_tokens import limit_image_tokens
from radflow.policy.pretrained import load_pretrained
from radflow.policy.processors import has_processor, load_processor
from radflow.policy.prompts import EncodedPrompt, PromptEncoder
from radflow.policy.serving import vllm_obstacles
from radflow.studies import Study

transformers_logging.disable_progress_bar()  # radflow shows its own

_log = logging.getLogger(__name__)

REFERENCE = "reference"
"""Name of the frozen copy of the SFT adapter that stands for the reference policy."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A model with its processor, its prompts and its image features.

    Attributes:
        model: a transformers model, or PEFT's wrapper around one.
        processor: turns text and pictures into the model's inputs.
        encoder: studies to prompts.
        features: prompts to image features of a frozen tower; ``None`` runs the tower in every pass.
        reference: of a policy without an adapter, the weights that train as the reference policy has them.
    """

    model: nn.Module
    processor: Any
    encoder: PromptEncoder
    features: FeatureStore | None
    reference: dict[str, Tensor] | None = None

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def pad_id(self) -> int:
        """The token that fills rows."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else self.end_ids[0]

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The tokens that end a report: the generation configuration's, else the tokenizer's."""
        configured = getattr(bare(self.model), "generation_config", None)
        ids = getattr(configured, "eos_token_id", None)
        if ids is None:
            ids = self.tokenizer.eos_token_id
        return (ids,) if isinstance(ids, int) else tuple(ids)

    def prompt(self, study: Study) -> EncodedPrompt:
        """The prompt of a study, with what a frozen tower made of its pictures where that is kept."""
        prompt = self.encoder(study)
        return prompt if self.features is None else self.features.prompt(prompt)

    def features_of(self, prompts: Sequence[EncodedPrompt]) -> list[ImageFeatures] | None:
        """Image features of some studies; ``None`` where the model must see the pixels themselves."""
        if self.features is None:
            return None
        known = [features for prompt in prompts if (features := self.features(prompt)) is not None]
        return known if len(known) == len(prompts) else None

    def seen(self, studies: Sequence[Study]) -> tuple[list[EncodedPrompt], list[ImageFeatures] | None]:
        """Prompts of some studies, and their image features if they are known without the pixels.

        Where only the connector trains there are none, and the prompts have what the frozen tower said.
        """
        prompts = [self.encoder(study) for study in studies]
        features = self.features_of(prompts)
        if features is None and self.features is not None:
            prompts = [self.features.prompt(prompt) for prompt in prompts]
        return prompts, features

    @contextmanager
    def as_reference(self) -> Generator[None]:
        """Within the block the model is the reference policy: what SFT gave, without what RFT added."""
        model = self.model
        if self.reference is not None:
            with exchanged(model, self.reference):
                yield
            return
        if not isinstance(model, PeftModel):
            raise TrainingError(
                "expected a policy with an adapter, or with a copy of its weights: without either there is "
                "no reference policy"
            )
        if REFERENCE in model.peft_config:
            model.set_adapter(REFERENCE, inference_mode=True)
            try:
                yield
            finally:
                model.set_adapter("default")
        else:
            with model.disable_adapter():
                yield


def load_policy(
    source: str | Path,
    settings: recipe.Policy,
    *,
    adapter: str = "none",
    device: torch.device | str = "cpu",
    encoder: PromptEncoder | None = None,
    features: Path | None = None,
) -> Policy:
    """Load a policy.

    Args:
        source: hub name, model folder or adapter folder.
        settings: the section ``policy`` of a recipe.
        adapter: ``none`` to use the model as it is; ``fresh`` to put a new LoRA on the language model;
            ``continue`` to go on training the folder's adapter with a frozen copy of it as the reference
            policy (a folder without an adapter gets a fresh one, and is the reference itself). With
            ``settings.lora_rank`` of 0 the language model itself trains, and a copy is the reference.
        device: where to put it.
        encoder: of another policy with the same processor and settings, to share what it remembers.
        features: where image features are kept if ``settings.image_features`` is ``disk``.

    Raises:
        MissingFileError: no such folder, and not a name that can be reached; or a folder without a processor.
        DataError: the adapter was trained on another base model; or the model is damaged, not whole, or has
            no form of prompt.
        MissingDependencyError: the processor needs a package that is not installed.
    """
    folder = Path(source)
    has_adapter = (folder / "adapter_config.json").is_file()
    check_model(folder)
    base = base_of(folder) if has_adapter else str(source)
    model: nn.Module = load_pretrained(
        AutoModelForImageTextToText,
        base,
        dtype=_dtype(settings, device),
        trust_remote_code=settings.trust_remote_code,
    )
    processor = load_processor(
        folder if has_processor(folder) else base, trust_remote_code=settings.trust_remote_code
    )
    chat_text(processor, settings.prompt, images=1)  # its error comes before any step
    limit_image_tokens(processor, settings.image_tokens)
    if has_adapter and adapter != "fresh":
        trainable = adapter == "continue"
        model = put_on(model, folder, trainable=trainable)
        if trainable:
            model.load_adapter(str(folder), adapter_name=REFERENCE, is_trainable=False)
            model.set_adapter("default")
    elif adapter != "none" and settings.lora_rank > 0:
        model = add_lora(model, settings)
    model.to(device)
    reference = None
    if adapter != "none" and not isinstance(model, PeftModel):
        model.requires_grad_(False)
        reference = {}
        language = {id(parameter) for parameter in parts_of(model)["language"]}
        for name, parameter in model.named_parameters():
            if id(parameter) in language:
                reference[name] = parameter.requires_grad_().detach().clone()
    return Policy(
        model=model,
        processor=processor,
        encoder=encoder or PromptEncoder(processor, settings),
        features=_features(model, settings, features),
        reference=reference,
    )


@contextmanager
def exchanged(model: nn.Module, weights: dict[str, Tensor]) -> Generator[None]:
    """Within the block the model has these weights, and ``weights`` hold those of the model."""

    def exchange() -> None:
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.data, weights[name] = weights[name], parameter.data

    exchange()
    try:
        yield
    finally:
        exchange()


def _features(model: nn.Module, settings: recipe.Policy, folder: Path | None) -> FeatureStore | None:
    if settings.image_features == "off":
        return None
    bound = int(settings.image_features_gib * 1024**3)
    folder = settings.image_features_folder or folder
    return FeatureStore(model, max_bytes=bound, folder=folder if settings.image_features == "disk" else None)


def add_lora(model: nn.Module, settings: recipe.Policy) -> PeftModel:
    """Put fresh LoRA adapters on linear layers of the language model, and freeze the rest.

    The layers are named one by one: a pattern such as ``q_proj`` would also hit the vision tower.

    Raises:
        TrainingError: a layer that ``settings`` names is not there.
    """
    layers, wanted = language_layers(model), settings.lora_targets
    endings = {name.rpartition(".")[2] for name in layers}
    if unknown := [name for name in wanted if name not in endings]:
        raise TrainingError(
            f"policy.lora_targets: expected names of {', '.join(sorted(endings))}; got {unknown[0]!r}"
        )
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=[name for name in layers if not wanted or name.rpartition(".")[2] in wanted],
        fan_in_fan_out=isinstance(model.get_submodule(layers[0]), Conv1D),
    )
    wrapped = get_peft_model(cast(PreTrainedModel, model), config)
    assert isinstance(wrapped, PeftModel)
    return wrapped


def language_layers(model: nn.Module) -> list[str]:
    """Full names of the linear layers inside the language model, without the output head."""
    decoder = bare(model).get_decoder()
    inside = {id(module) for module in decoder.modules()}
    inside -= {id(m.get_output_embeddings()) for m in decoder.modules() if isinstance(m, PreTrainedModel)}
    linear = (nn.Linear, Conv1D)  # GPT-2's
    names = [n for n, m in model.named_modules() if isinstance(m, linear) and id(m) in inside]
    vision = [n for n in names if "vision" in n]
    if not names or vision:
        raise TrainingError(
            f"{type(bare(model)).__name__}: could not tell its language model from its vision tower "
            f"({'found ' + vision[0] if vision else 'no linear layer found'}); LoRA would go astray"
        )
    return names


def checkpoint_activations(policy: Policy) -> None:
    """Keep only the layers' inputs in a forward pass, and compute the rest again in the backward pass.

    transformers does so in training mode only.
    """
    base = bare(policy.model)
    base.enable_input_require_grads()
    name = "activation_checkpointing_enable"  # its name before transformers 5.23: gradient_...
    enable = getattr(base, name if hasattr(base, name) else "gradient_checkpointing_enable")
    enable({"use_reentrant": False})


def save_policy(policy: Policy, folder: Path) -> None:
    """Save to a folder that `load_policy` reads: an adapter as a PEFT folder, a full model whole."""
    model = policy.model
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), selected_adapters=["default"])
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's blank form, with the path of the base in it
        written = folder / "adapter_config.json"
        known = read_json(written)
        if isinstance(known["target_modules"], list):  # of a set, so in another order in every process
            write_json(written, known | {"target_modules": sorted(known["target_modules"])})
        for obstacle in vllm_obstacles(folder):
            _log.warning("vLLM will not load this adapter as it is: %s; merge it first", obstacle)
    else:
        assert isinstance(model, PreTrainedModel)
        model.save_pretrained(folder)
    policy.processor.save_pretrained(folder)


def save_merged(policy: Policy, folder: Path) -> None:
    """Save the model with its adapter folded into the weights, leaving ``policy`` as it is."""
    model = policy.model
    if not isinstance(model, PeftModel):
        return save_policy(policy, folder)
    model.merge_adapter(["default"])
    try:
        base = bare(model)
        weights = {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in base.state_dict().items()
            if ".lora_" not in name
        }
        head = base.get_output_embeddings()  # a class names what may be tied, also where it is not
        is_tied = head is not None and head.weight is base.get_input_embeddings().weight
        tied = (getattr(base, "_tied_weights_keys", None) or {}) if is_tied else {}
        weights = {name: tensor for name, tensor in weights.items() if name not in tied}
        base.save_pretrained(folder, state_dict=weights)
    finally:
        model.unmerge_adapter()
    policy.processor.save_pretrained(folder)
    return None


def base_of(folder: Path) -> str:
    """The base model that an adapter folder names.

    Raises:
        MissingFileError: it names none.
    """
    base = PeftConfig.from_pretrained(str(folder)).base_model_name_or_path
    if not base:
        raise MissingFileError(
            f"{folder}/adapter_config.json: expected base_model_name_or_path to name a model"
        )
    return base


def _dtype(settings: recipe.Policy, device: torch.device | str) -> torch.dtype:
    if settings.dtype != "auto":
        return getattr(torch, settings.dtype)
    if settings.lora_rank == 0:
        return torch.float32
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # A property of the machine and no measurement, or a run that is resumed could change its numbers.
    quick = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    on_cpu = torch.device(device).type == "cpu" and not settings.from_noise
    return torch.bfloat16 if on_cpu and quick else torch.float32
