"""A judge on this machine: which of two answers does a causal language model find more probable?

The chat of ``prompts/*.toml`` goes through the folder's own template, and the answers it asks for,
``{"answer": "yes"}`` and ``{"answer": "no"}``, are scored as its continuation: log p(answer | chat), summed
over all tokens of an answer. Nothing is sampled, so nothing has to be parsed, and the same question gets the
same verdict.

Text to tokens is in ``local_chat.py``, tokens to log-probabilities in ``local_scores.py``, the folder in
``local_folder.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from threading import Lock
from typing import Any

from radflow.judges.llm.local_chat import WORDS, Row, encode
from radflow.judges.llm.local_folder import check_folder, content_name, folder_dtype, load_model, read_config
from radflow.judges.llm.questions import Answer, JudgeError, Question
from radflow.readers.networks.inference import check_placement, length_batches, place

CPU_TOKENS = 1_024
"""Beyond it a core is slower, not faster: activations leave the processor's cache."""

GPU_TOKENS = 8_192

_REVISION = "local/1"  # raise it when the same folder would answer otherwise
_TOO_LONG = "more tokens than the model reads; shorten the report, or take a model of longer context"
_NOT_FINITE = "log-probabilities that are not finite; the weights are damaged, or need dtype float32"
_EQUAL = "the same log-probability for yes and no; the model cannot tell, or needs dtype float32"
_NO_MEMORY = "no memory left on the device; lower tokens_per_batch"


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    tokenizer: Any
    model: Any
    tokens_per_batch: int

    @property
    def context(self) -> float:
        """Most tokens that the model reads; infinite where its configuration names no bound."""
        return getattr(self.model.config, "max_position_embeddings", None) or inf


@dataclass(frozen=True)
class LocalModel:
    """Asks a causal language model from a folder. It is loaded with the first question.

    Attributes:
        folder: configuration, tokenizer and safetensors weights, as ``save_pretrained`` writes them.
        tokens_per_batch: padded prompt tokens in one forward; ``None`` is 1,024 on the CPU and 8,192
            elsewhere. A question longer than that is a batch of its own.
        device: a torch device such as ``"cuda:1"``; ``None`` is CUDA where there is one, else the CPU.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``; ``None`` is float32 on the CPU, elsewhere what
            the folder's configuration says. In 16 bits a close verdict may turn with its batch.

    Raises:
        MissingFileError: the folder or a file in it is not there, or its weights are not safetensors.
        DataError: it holds an adapter, or another kind of model.
        RecipeError: a knob does not say something that can be done.
    """

    folder: str | Path
    _: KW_ONLY
    tokens_per_batch: int | None = None
    device: str | None = None
    dtype: str | None = None
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_placement(dtype=self.dtype or "float32", batch_tokens=self.tokens_per_batch)
        check_folder(Path(self.folder))

    @cached_property
    def name_of_model(self) -> str:
        """Folder name and a hash of configuration, tokenizer, weights and, where it was named, dtype.

        All weights are read once for it. Device and batch size are left out: they move a verdict by rounding.
        """
        return content_name(Path(self.folder), _REVISION, self.dtype or "")

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Answer all questions, longest first; hand over the answers of each batch as it ends.

        Args:
            questions: asked once each, even where two are the same.
            stored: called with a question's index and its answer in this thread, at most once per question.

        Raises:
            JudgeError: a question is longer than the model's context, or the model prefers neither answer or
                gives no finite number. All others have been handed over before.
            DataError: the weights or the tokenizer are damaged.
            RecipeError: this machine has no such device.
            MissingDependencyError: the model needs a package that is not installed.
        """
        if not questions:
            return
        with self._lock:
            loaded = self._loaded
        rows = [encode(loaded.tokenizer, question) for question in questions]
        faults: dict[int, str] = {}
        for batch in length_batches([len(row) for row in rows], loaded.tokens_per_batch):
            fitting = [index for index in batch if len(rows[index]) <= loaded.context]
            faults |= dict.fromkeys(set(batch) - set(fitting), _TOO_LONG)
            for index, (yes, no) in zip(fitting, self._score([rows[i] for i in fitting]), strict=True):
                if fault := _fault(yes, no):
                    faults[index] = fault
                else:
                    stored(index, _answer(rows[index], yes > no))
        if faults:
            raise JudgeError(self._report(len(questions), faults))

    def _score(self, rows: Sequence[Row]) -> list[list[float]]:
        """Log-probabilities of yes and no for each row; one batch at a time holds the device's memory."""
        if not rows:
            return []
        import torch

        from radflow.judges.llm.local_scores import answer_logprobs

        try:
            with self._lock:
                model = self._loaded.model
                return answer_logprobs(model, [r.prompt for r in rows], [r.answers for r in rows]).tolist()
        except torch.OutOfMemoryError as error:
            raise JudgeError(f"judge {self.folder}: {_NO_MEMORY}") from error

    def _report(self, asked: int, faults: dict[int, str]) -> str:
        told = "; ".join(f"{count} with {what}" for what, count in Counter(faults.values()).most_common())
        return (
            f"judge {self.folder}: expected {asked} answers, got {asked - len(faults)}; those were handed "
            f"on. Failed: {told}. The first is number {min(faults)}."
        )

    @cached_property
    def _loaded(self) -> _Loaded:
        import torch

        folder, placement = (
            Path(self.folder),
            place(device=self.device or "auto", dtype=self.dtype or "float32"),
        )
        on_cpu = placement.device.type == "cpu"
        dtype = placement.dtype
        if self.dtype is None and not on_cpu:
            dtype = getattr(torch, folder_dtype(read_config(folder)))
        tokenizer, model = load_model(folder, placement.device, dtype)
        tokens = self.tokens_per_batch or (CPU_TOKENS if on_cpu else GPU_TOKENS)
        return _Loaded(tokenizer=tokenizer, model=model, tokens_per_batch=tokens)


def _fault(yes: float, no: float) -> str | None:
    if not (isfinite(yes) and isfinite(no)):
        return _NOT_FINITE
    return _EQUAL if yes == no else None


def _answer(row: Row, verdict: bool) -> Answer:
    said = WORDS[0] if verdict else WORDS[1]
    return Answer(verdict=verdict, said=said, prompt_tokens=len(row.prompt), completion_tokens=0, calls=1)
