"""How radflow runs a network over texts: one policy of device, number type and batches for all readers.

Texts of like length go together and a batch is bounded by its padded tokens, so padding costs little and
memory does not depend on the longest report. The attention mask keeps padding out. In float32, the default, a
text therefore reads the same alone, in any batch and in any order, up to float rounding (about 1e-6). In
bfloat16 or float16 the second or third digit moves with the batch: quick, but not for a reward.

Weights are in ``weights.py``, the cache of readings in ``text_cache.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from radflow.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("cpu", "cuda", "mps", "xpu")
CPU_BATCH_TOKENS = 512
"""Beyond it activations leave the processor's cache: on one core BERT-base is a fifth slower at 4,096."""

GPU_BATCH_TOKENS = 32_768


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a network runs, how, and the padded tokens in one forward."""

    device: torch.device
    dtype: torch.dtype
    batch_tokens: int


def check_placement(*, dtype: str = "float32", batch_tokens: int | None = None) -> None:
    """Check what needs no torch.

    Raises:
        RecipeError: no such number type, or a budget below 1.
    """
    if dtype not in DTYPES:
        raise RecipeError(
            f"Expected dtype to be one of {', '.join(DTYPES)}; got {dtype!r}.{did_you_mean(dtype, DTYPES)}"
        )
    if batch_tokens is not None and batch_tokens < 1:
        raise RecipeError(f"Expected batch_tokens of at least 1, got {batch_tokens}.")


def place(*, device: str = "auto", dtype: str = "float32", batch_tokens: int | None = None) -> Placement:
    """Find the device.

    Args:
        device: a torch device such as ``"cpu"`` or ``"cuda:1"``; ``"auto"`` is CUDA where there is one, else
            the CPU.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        batch_tokens: padded tokens in one forward (texts times the longest of them); ``None`` is 512 on the
            CPU and 32,768 elsewhere. A text longer than that is a batch of its own.

    Raises:
        RecipeError: as :func:`check_placement`; torch knows no such device, or this machine has none.
    """
    import torch

    check_placement(dtype=dtype, batch_tokens=batch_tokens)
    found = _device(device)
    budget = batch_tokens or (CPU_BATCH_TOKENS if found.type == "cpu" else GPU_BATCH_TOKENS)
    return Placement(device=found, dtype=getattr(torch, dtype), batch_tokens=budget)


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in DEVICES:
        raise RecipeError(f"Expected device to be 'auto' or one of {', '.join(DEVICES)}; got {name!r}.")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises each of them here
        reason = str(error).partition(". ")[0]
        raise RecipeError(
            f"Expected a device that this machine has, such as 'auto'; got {name!r}: {reason}."
        ) from error
    return device


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Cut items into batches of like length, longest first, each at most ``batch_tokens`` when padded.

    An item beyond that is alone. Returns positions in ``lengths``, each exactly once.

    >>> length_batches([3, 10, 2, 4], 10)
    [[1], [3, 0], [2]]
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    batches, start = [], 0
    while start < len(order):
        room = max(1, batch_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + room])
        start += room
    return batches


def run_in_batches(
    forward: Callable[[list[Item]], Sequence[Result]],
    items: Sequence[Item],
    lengths: Sequence[int],
    batch_tokens: int,
) -> list[Result]:
    """Run ``forward`` over batches of like length and return its results in the order of ``items``.

    >>> run_in_batches(lambda words: [word.upper() for word in words], ["a", "ccc", "bb"], [1, 3, 2], 4)
    ['A', 'CCC', 'BB']
    """
    results: dict[int, Result] = {}
    for batch in length_batches(lengths, batch_tokens):
        results.update(zip(batch, forward([items[position] for position in batch]), strict=True))
    return [results[position] for position in range(len(items))]


def valid_unicode(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes, by ``?``; character offsets stay as they are.

    >>> valid_unicode("no\\ud800edema")
    'no?edema'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def token_ids(tokenizer: Any, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Encode texts, special tokens around them, at most ``limit`` tokens in all; words are cut at the end.

    The transformers tokenizer is left as it is, so threads may share it.
    """
    before, after = affixes(tokenizer)
    room = limit - len(before) - len(after)
    clean = [valid_unicode(text) for text in texts]
    if not clean:
        return []
    words = tokenizer(clean, add_special_tokens=False, return_attention_mask=False, verbose=False)
    return [[*before, *row[:room], *after] for row in words["input_ids"]]


def affixes(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens a tokenizer puts before and behind a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]


def pad(ids: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids to a rectangle and its mask, both int64 (rows, longest row); the mask is 1 on tokens."""
    import torch

    rows = [torch.tensor(row, dtype=torch.long) for row in ids]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_id)
    lengths = torch.tensor([len(row) for row in ids])
    mask = (torch.arange(padded.shape[1])[None, :] < lengths[:, None]).long()
    return padded.to(device), mask.to(device)
