"""Two encoder-decoders, one a section, as one policy that writes both sections of a report.

A report is ``[CLS] Findings: words Impression: words [SEP]``, where each header is one token. The findings
model reads what follows the first header, the impression model what follows the second, each from a ``[CLS]``
of its own; neither reads the other's words. Where the findings model ends its section, the report goes on
with the Impression. So each section is what its model writes alone.

For texts of another form the two have a small probability (`STRAY`): a report that does not begin with its
header, and one that ends with its Findings. It is a constant factor, so they teach what their words teach.

The two may have unlike vocabularies: ``words`` of each holds the id in the report of each id of its own.
Importing this module makes ``AutoModelForImageTextToText`` know the model; no code lies in its folder.

Axes: ``N`` rows, ``L`` tokens of a row, ``T`` of a section, ``V`` vocabulary, ``W`` that of one model.
"""

from __future__ import annotations

import math
from typing import Any, no_type_check

import torch
from huggingface_hub.dataclasses import strict
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    GenerationMixin,
    PretrainedConfig,
    PreTrainedModel,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from radflow.policy.cross_attention import FilmProcessor, distinct

SECTIONS = ("findings", "impression")
HEADERS = ("Findings:", "Impression:")
STRAY = 1e-6
_NEVER = math.log(1e-9)
"""Of a word that a section's model does not have."""


@no_type_check  # whose test would hide from transformers that any keyword is taken
@strict
class SectionsConfig(PretrainedConfig):
    """Two configurations, and the tokens that tell their sections apart.

    Attributes:
        header_ids: of "Findings:" and "Impression:".
        own_ids: of each model, in its own vocabulary: what begins a section, what ends it, an
            unknown word, what fills rows.
        own_sizes: words of each model's tokenizer.
        section_tokens: longest section, its end included.
    """

    model_type = "radflow_sections"
    sub_configs = {  # noqa: RUF012  (as transformers declares it)
        "findings": VisionEncoderDecoderConfig,
        "impression": VisionEncoderDecoderConfig,
    }
    findings: dict | PretrainedConfig | None = None
    impression: dict | PretrainedConfig | None = None
    vocab_size: int = 0
    hidden_size: int = 0
    num_hidden_layers: int = 0
    header_ids: list[int] | None = None
    own_ids: list[list[int]] | None = None
    own_sizes: list[int] | None = None
    section_tokens: int = 127
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        for name in SECTIONS:
            if isinstance(settings := getattr(self, name), dict):
                setattr(self, name, VisionEncoderDecoderConfig(**settings))
        super().__post_init__(**kwargs)


class SectionsForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """What ``AutoModelForImageTextToText`` loads."""

    config_class = SectionsConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    reads_by_cross_attention = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.findings = VisionEncoderDecoderModel(config.findings)
        self.impression = VisionEncoderDecoderModel(config.impression)
        for name, size in zip(SECTIONS, config.own_sizes, strict=True):
            self.register_buffer(f"{name}_words", torch.arange(size))
        self.post_init()

    def get_decoder(self) -> nn.Module:
        """Both of them, with their heads."""
        return nn.ModuleList([self.findings.decoder, self.impression.decoder])

    def get_input_embeddings(self) -> nn.Module:
        """Of the findings model."""
        return self.findings.get_input_embeddings()

    def get_output_embeddings(self) -> None:
        """None: the decoders have them."""

    @torch.no_grad()
    def generate(  # ty: ignore[incompatible-method-override]
        self,
        input_ids: Int[Tensor, "N 1"],
        pixel_values: Float[Tensor, "N 1 3 H W"],
        max_new_tokens: int = 256,
        attention_mask: Tensor | None = None,
        eos_token_id: Any = None,
        pad_token_id: int | None = None,
        suppress_tokens: Any = None,
        **how: Any,
    ) -> Int[Tensor, "N L"]:
        """Both sections, each by transformers' ``generate`` of its model; ``how`` goes to both.

        Args:
            input_ids: what begins a report.
            pixel_values: one picture a row.
            max_new_tokens: of the whole report; a section has at most ``section_tokens``.
            attention_mask: not needed, as are the three that follow.
            eos_token_id: of the report.
            pad_token_id: of the report.
            suppress_tokens: there are none.
            how: as for any ``generate``.
        """
        pictures, copies = pixel_values[:, 0], 1
        if how.get("do_sample"):  # a group has one picture: it is encoded once
            seen, _ = distinct(pictures)
            if len(pictures) % len(seen) == 0 and (seen == pictures[:: len(pictures) // len(seen)]).all():
                pictures, copies = seen, len(pictures) // len(seen)
        config: Any = self.config
        written = []
        for section, (begin, end, _, pad) in enumerate(config.own_ids):
            model, words = self._section(section)
            settings = GenerationConfig(
                decoder_start_token_id=begin,
                eos_token_id=end,
                pad_token_id=pad,
                num_return_sequences=copies,
                max_new_tokens=max(1, min(max_new_tokens, config.section_tokens)),
                **how,
            )
            plain: Any = model
            rows = plain.generate(pixel_values=pictures.to(model.dtype), generation_config=settings)
            written.append([self._own_words(row, end, words) for row in rows[:, 1:]])
        headers = [torch.tensor([i], device=input_ids.device) for i in config.header_ids]
        done = torch.tensor([config.eos_token_id], device=input_ids.device)
        reports = [
            torch.cat([headers[0], first, headers[1], second, *([done] if ended else [])])[:max_new_tokens]
            for (first, _), (second, ended) in zip(*written, strict=True)
        ]
        new = pad_sequence(reports, batch_first=True, padding_value=config.pad_token_id)
        return torch.cat([input_ids, new], dim=1)

    def forward(
        self,
        input_ids: Int[Tensor, "N L"],
        attention_mask: Tensor | None = None,
        pixel_values: Float[Tensor, "N 1 3 H W"] | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int = 0,
        use_cache: bool | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Log-probabilities of what follows each token, as logits.

        Args:
            input_ids: reports, each from the token that begins it.
            attention_mask: zero on padding.
            pixel_values: one picture a row.
            output_hidden_states: return those of the findings model too, in the places of its tokens.
            logits_to_keep: of the last positions; 0 for all.
            use_cache: there is none.
        """
        assert pixel_values is not None
        config: Any = self.config
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        first = mask.long().argmax(dim=1)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        findings, impression = (self._first(input_ids, mask, i) for i in config.header_ids)
        findings = torch.where(findings == first + 1, findings, first)
        stop = torch.full_like(first, input_ids.shape[1])
        logits = torch.full((*input_ids.shape, config.vocab_size), _NEVER, device=input_ids.device)
        pictures = distinct(pixel_values[:, 0])
        own, hidden = self._read(0, input_ids, mask, pictures, findings, impression)
        end = own[..., config.eos_token_id].clone()
        own[..., config.header_ids[1]] = end + math.log1p(-STRAY)
        own[..., config.eos_token_id] = end + math.log(STRAY)
        within = (places >= findings[:, None]) & (places < impression[:, None])
        inside = torch.arange(own.shape[1], device=within.device) < within.sum(1, keepdim=True)
        logits[within] = own[inside]
        rows = torch.arange(len(input_ids), device=input_ids.device)
        begun = own[:, 0] + math.log(STRAY)
        begun[:, config.header_ids[0]] = math.log1p(-STRAY)
        logits[rows, first] = begun
        if (impression < stop).any():
            some = impression < stop
            chosen = pictures[0], pictures[1][some]
            own = self._read(1, input_ids[some], mask[some], chosen, impression[some], stop[some])[0]
            within = (places >= impression[:, None]) & some[:, None]
            inside = torch.arange(own.shape[1], device=within.device) < within[some].sum(1, keepdim=True)
            logits[within] = own[inside]
        states = None
        if output_hidden_states:
            at = (places - findings[:, None]).clamp(0, hidden[0].shape[1] - 1)
            states = tuple(layer[rows[:, None], at] for layer in hidden)
        return CausalLMOutputWithPast(
            logits=logits[:, -logits_to_keep:],
            hidden_states=states,
        )

    def _read(
        self,
        section: int,
        ids: Int[Tensor, "N L"],
        mask: Tensor,
        pictures: tuple[Float[Tensor, "P 3 H W"], Int[Tensor, "N"]],
        starts: Int[Tensor, "N"],
        stops: Int[Tensor, "N"],
    ) -> tuple[Float[Tensor, "N T V"], tuple[Tensor, ...]]:
        """Log-probabilities of what follows each token of a section, and the decoder's hidden states."""
        config: Any = self.config
        model, words = self._section(section)
        begin, _, unknown, _ = config.own_ids[section]
        own_of = torch.full((config.vocab_size,), unknown, device=ids.device)
        own_of[words] = torch.arange(len(words), device=ids.device)
        steps = torch.arange(int((stops - starts).max()), device=ids.device)
        at = (starts[:, None] + steps).clamp(max=ids.shape[1] - 1)
        there = (steps < (stops - starts)[:, None]) & mask.gather(1, at).bool()
        there[:, 0] = True
        tokens = own_of[ids.gather(1, at)]
        tokens[:, 0] = begin
        states: Any = model.encoder(pixel_values=pictures[0].to(model.dtype)).last_hidden_state
        if hasattr(model, "enc_to_dec_proj"):
            states = model.enc_to_dec_proj(states)
        output: Any = model.decoder(
            input_ids=tokens,
            attention_mask=there.long(),
            encoder_hidden_states=states[pictures[1]],
            output_hidden_states=True,
            use_cache=False,
        )
        known = output.logits[..., : len(words)].float().log_softmax(-1)
        joint = known.new_full((*known.shape[:2], config.vocab_size), _NEVER)
        joint[..., words] = known
        return joint, output.hidden_states

    def _section(self, section: int) -> tuple[VisionEncoderDecoderModel, Int[Tensor, "W"]]:
        name = SECTIONS[section]
        return getattr(self, name), getattr(self, f"{name}_words")

    @staticmethod
    def _own_words(row: Int[Tensor, "T"], end: int, words: Int[Tensor, "W"]) -> tuple[Int[Tensor, "_"], bool]:
        """A section in the report's ids, without its end, and whether it ended."""
        ends = (row == end).nonzero()
        kept = row[: int(ends[0])] if len(ends) else row
        return words[kept.clamp(max=len(words) - 1)], len(ends) > 0

    @staticmethod
    def _first(ids: Int[Tensor, "N L"], mask: Tensor, token: int) -> Int[Tensor, "N"]:
        """The first place of a token in each row; the length of the row where it is not there."""
        found: Bool[Tensor, "N L"] = (ids == token) & mask.bool()
        return torch.where(found.any(dim=1), found.long().argmax(dim=1), ids.shape[1])


AutoConfig.register(SectionsConfig.model_type, SectionsConfig)
AutoModelForImageTextToText.register(SectionsConfig, SectionsForConditionalGeneration)
AutoProcessor.register(SectionsConfig, FilmProcessor)
