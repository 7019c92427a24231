"""Reports as a model's own generation configuration has them: beams, penalties, sampling.

A published system is compared as its authors decode it, and what they set stands in its folder, in
``generation_config.json``. transformers' ``generate`` does the decoding. Models of LLaVA's form get their
prompt as embeddings, pictures in place: a repetition penalty then counts the words of the report and not
those of the prompt, and beams keep each study's pictures together.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from radflow.policy.families import bare, reserved_tokens
from radflow.policy.groups import Completion
from radflow.policy.images.features import encode_images, evaluating
from radflow.policy.load import Policy
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.policy.sampling.sample import batches, completion, until_end
from radflow.studies import Study

_EMBEDDED = frozenset({"llava", "radflow_llava"})
"""``model_type`` of models whose prompt is nothing but embeddings, one after the other."""


def own_reports(
    policy: Policy,
    studies: Sequence[Study],
    *,
    max_new_tokens: int,
    seeds: Sequence[int],
    batch_size: int = 64,
) -> Iterator[tuple[Study, Completion]]:
    """Yield one report per study, in the order given, decoded as the model's generation configuration says.

    Args:
        policy: writes the reports.
        studies: any number.
        max_new_tokens: longest report, where the configuration says none.
        seeds: one per study; a study's report follows from its own where the configuration samples.
        batch_size: studies decoded together, where it does not.

    Raises:
        ValueError: not one seed per study.
    """
    if len(seeds) != len(studies):
        raise ValueError(f"expected one seed per study, got {len(seeds)} for {len(studies)} studies")
    own = bare(policy.model).generation_config
    most = own.max_new_tokens or max_new_tokens
    embedded = bare(policy.model).config.model_type in _EMBEDDED
    devices = [policy.device] if policy.device.type == "cuda" else []
    size = 1 if own.do_sample else batch_size
    for batch, numbers in zip(batches(studies, size), batches(seeds, size), strict=True):
        prompts = [policy.encoder(study) if embedded else policy.prompt(study) for study in batch]
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(numbers[0])
            rows = _generated(policy, prompts, most, embedded)
        for study, row in zip(batch, rows, strict=True):
            yield study, completion(policy, until_end(row, policy.end_ids))


@torch.no_grad()
def _generated(
    policy: Policy, prompts: Sequence[EncodedPrompt], most: int, embedded: bool
) -> list[list[int]]:
    """New tokens of each row."""
    core = bare(policy.model)
    fields: dict[str, Any] = collate(prompts, pad_id=policy.pad_id, left=True, device=policy.device)
    begin = fields["input_ids"].shape[1]
    with evaluating(policy.model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Passing `repetition_penalty`")  # says what is meant here
        if embedded:
            rows = _embedded(policy, prompts, fields["input_ids"])
            fields, begin = {"inputs_embeds": rows, "attention_mask": fields["attention_mask"]}, 0
        output = core.generate(
            **fields,
            max_new_tokens=most,
            pad_token_id=policy.pad_id,
            eos_token_id=list(policy.end_ids),
            # An image token in a report would be taken for a picture by the next pass over it.
            suppress_tokens=list(reserved_tokens(policy.model)) or None,
        )
    return output[:, begin:].tolist()


def _embedded(
    policy: Policy, prompts: Sequence[EncodedPrompt], ids: Int[Tensor, "P L"]
) -> Float[Tensor, "P L D"]:
    """The prompts as the language model gets them."""
    core = bare(policy.model)
    rows = core.get_input_embeddings()(ids)
    features = policy.features_of(prompts) or [encode_images(policy.model, prompt) for prompt in prompts]
    seen = torch.cat([tokens for study in features for tokens in study.tokens]).to(rows)
    return rows.masked_scatter((ids == core.config.image_token_id)[..., None], seen)
