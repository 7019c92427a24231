"""Floating-point operations of one policy-optimisation step, plain and with a shared prefix.

    python benchmarks/rft_flops.py [--model qwen2.5-vl-3b] [--prefix 1300] [--completion 120] [--group 4]

Prints the ceilings as one JSON object: how much less there is to compute, for each phase.

Multiplications and additions count as one each. A frozen base with LoRA costs 2 N per token forward and 2 N
backward, because the weights take no gradient; the adapters cost 2 and 4. Attention counts the pairs that
the causal mask leaves, 4 d each forward and 8 d backward. The head is computed on completion tokens
alone. What is left out on both sides: norms, rotary embeddings, softmax, sampling, the optimiser, and
everything that is not arithmetic.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from rft_models import LORA_RANK, SHAPES, Layout, Shape, layout


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step has to do.

    Attributes:
        prefix: tokens of the prompt, pictures included (P).
        completion: tokens of each completion (R).
        group: completions (G).
        inner: optimiser steps.
        checkpointing: activations are computed again in the backward pass.
    """

    prefix: int
    completion: int
    group: int
    inner: int = 2
    checkpointing: bool = False


def tower(shape: Shape, plan: Layout) -> float:
    """The vision tower and projector on the pictures of one prompt."""
    width, patches = shape.vision_width, plan.grid[0] * plan.grid[1]
    qwen = shape.family == "qwen"
    embed = width * 3 * shape.patch**2 * (2 if qwen else 1)
    linear = shape.vision_layers * (4 * width**2 + (3 if qwen else 2) * width * shape.vision_mlp)
    inside = (shape.window // shape.patch) ** 2
    seen = sum(patches if i in shape.full_layers else inside for i in range(shape.vision_layers))
    merged = width * shape.merge**2
    project = merged * (merged if qwen else shape.width) + (merged if qwen else shape.width) * shape.width
    once = patches * (2 * (embed + linear) + 4 * width * seen)
    return plan.pictures * once + 2 * project * plan.image_tokens


def base_weights(shape: Shape) -> float:
    """Weights of the language model's linear layers."""
    kv = shape.width * shape.kv_heads // shape.heads
    return shape.layers * (2 * shape.width**2 + 2 * shape.width * kv + 3 * shape.width * shape.mlp)


def lora_weights(shape: Shape) -> float:
    """Weights of the adapters on them."""
    kv = shape.width * shape.kv_heads // shape.heads
    sides = 2 * 2 * shape.width + 2 * (shape.width + kv) + 3 * (shape.width + shape.mlp)
    return shape.layers * LORA_RANK * sides


def forward(shape: Shape, tokens: float, pairs: float, scored: float) -> float:
    """The language model on ``tokens``, attending over ``pairs``, its head on ``scored`` positions."""
    linear = 2 * tokens * (base_weights(shape) + lora_weights(shape))
    return linear + 4 * pairs * shape.width * shape.layers + 2 * scored * shape.width * shape.vocabulary


def backward(shape: Shape, tokens: float, pairs: float, scored: float) -> float:
    """The way back: gradients of all activations and of the adapters."""
    linear = tokens * (2 * base_weights(shape) + 4 * lora_weights(shape))
    return linear + 8 * pairs * shape.width * shape.layers + 2 * scored * shape.width * shape.vocabulary


def triangle(n: float) -> float:
    """Pairs that a causal mask over ``n`` tokens leaves."""
    return n * (n + 1) / 2


def sizes(work: Work, *, shared: bool) -> tuple[float, float, float]:
    """Tokens, pairs and scored positions of one pass over a group.

    >>> sizes(Work(prefix=10, completion=2, group=4), shared=False)
    (48, 312.0, 8)
    >>> sizes(Work(prefix=10, completion=2, group=4), shared=True)
    (18, 147.0, 8)
    """
    p, r, g = work.prefix, work.completion, work.group
    if shared:
        return p + g * r, triangle(p) + g * (p * r + triangle(r)), g * r
    return g * (p + r), g * triangle(p + r), g * r


def phases(shape: Shape, work: Work, *, shared: bool) -> dict[str, float]:
    """Operations of each phase of a step.

    ``shared``: the tower once per study, the prefix once per pass, the old log-probabilities from the first
    inner step. Otherwise: tower and prefix for every completion in every pass, and a pass for the old ones.
    """
    p, r, g = work.prefix, work.completion, work.group
    picture = tower(shape, layout(shape, p))
    once = 1 if shared else g
    prefill = once * (picture + forward(shape, p, triangle(p), 1))
    decode = g * forward(shape, r, p * r + triangle(r), r)
    size = sizes(work, shared=shared)
    look = 0 if shared else g * picture
    read = look + forward(shape, *size)
    again = forward(shape, *size) if work.checkpointing else 0
    update = work.inner * (read + backward(shape, *size) + again)
    return {
        "prefill": prefill,
        "decode": decode,
        "old": 0 if shared else read,
        "reference": read,
        "update": update,
    }


def ceilings(shape: Shape, work: Work) -> dict[str, float]:
    """How many times less work a shared prefix leaves."""
    plain, shared = phases(shape, work, shared=False), phases(shape, work, shared=True)
    sums = {
        "prefill": ("prefill",),
        "sample": ("prefill", "decode"),
        "old+ref": ("old", "reference"),
        "update": ("update",),
        "passes": ("old", "reference", "update"),
        "whole": tuple(plain),
    }
    found = {name: sum(plain[k] for k in keys) / sum(shared[k] for k in keys) for name, keys in sums.items()}
    rows = sizes(work, shared=False), sizes(work, shared=True)
    alone = [forward(shape, *size) + backward(shape, *size) for size in rows]
    return {"language_model_forward_backward": alone[0] / alone[1], **found}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", choices=sorted(SHAPES), default="qwen2.5-vl-3b")
    options.add_argument("--prefix", type=int, default=1_300)
    options.add_argument("--completion", type=int, default=120)
    options.add_argument("--group", type=int, default=4)
    options.add_argument("--inner", type=int, default=2)
    options.add_argument("--checkpointing", action="store_true")
    given = options.parse_args()
    shape = SHAPES[given.model]
    work = Work(
        prefix=given.prefix,
        completion=given.completion,
        group=given.group,
        inner=given.inner,
        checkpointing=given.checkpointing,
    )
    picture = tower(shape, layout(shape, work.prefix))
    answer = {
        "ceilings": {name: round(value, 2) for name, value in ceilings(shape, work).items()},
        "tower_beside_prefix": round(picture / forward(shape, work.prefix, triangle(work.prefix), 1), 3),
        "gigaflop": {
            side: {k: round(v / 1e9, 2) for k, v in phases(shape, work, shared=side == "shared").items()}
            for side in ("plain", "shared")
        },
        "settings": vars(given),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
