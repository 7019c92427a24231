"""A language model on this machine that writes its answer, as GREEN's published code lets it.

The chat, the bound on tokens, the batches and greedy decoding are those of ``green_score``
(Stanford-AIMI/GREEN, ``d72c195``). In 16 bits an answer may turn with its batch. A server such as vLLM behind
an endpoint is many times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from radflow.judges.llm.local_chat import control_tokens, defuse
from radflow.judges.llm.local_folder import check_folder, content_name, load_model
from radflow.judges.llm.questions import Answer, JudgeError, Question
from radflow.readers.networks.inference import place, valid_unicode

LONGEST = 2048
"""Tokens of question and answer together."""
BATCH = 8
_USER, _MODEL = "<|user|>", "<|assistant|>"
_REVISION = "writer/1"  # raise it when the same folder would answer otherwise
_CUT = f"an answer that does not end within {LONGEST} tokens"
_UNREADABLE = "an answer that is not in the form that was asked for"


@dataclass(frozen=True)
class LocalWriter:
    """Asks a causal language model from a folder for whole answers. It is loaded with the first question.

    Attributes:
        folder: configuration, tokenizer and safetensors weights, as ``save_pretrained`` writes them.

    Raises:
        MissingFileError: the folder or a file in it is not there, or its weights are not safetensors.
        DataError: it holds an adapter, or another kind of model.
    """

    folder: str | Path
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_folder(Path(self.folder))

    @cached_property
    def name_of_model(self) -> str:
        """Folder name and a hash of configuration, tokenizer and weights."""
        return content_name(Path(self.folder), _REVISION)

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Answer questions that have a grading, and hand over the answers of each batch as it ends.

        Raises:
            JudgeError: an answer does not end, or cannot be read; it would be the same again. All others have
                been handed over before.
            DataError: the weights or the tokenizer are damaged.
        """
        faults: dict[int, str] = {}
        for start in range(0, len(questions), BATCH):
            with self._lock:
                answers = self._write(questions[start : start + BATCH])
            for index, answer in enumerate(answers, start):
                if isinstance(answer, str):
                    faults[index] = answer
                else:
                    stored(index, answer)
        if faults:
            first = min(faults)
            raise JudgeError(
                f"judge {self.folder}: expected {len(questions)} answers, got "
                f"{len(questions) - len(faults)}; those are kept. The first without is number {first}, with "
                f"{faults[first]}. Is it the model of this metric? If so, leave that study out."
            )

    def _write(self, questions: Sequence[Question]) -> list[Answer | str]:
        """Answers of one batch, or what is wrong with them."""
        import torch

        tokenizer, model = self._loaded
        controls = [_USER, _MODEL, *control_tokens(tokenizer)]
        chats = [_chat(question, tokenizer.eos_token, controls) for question in questions]
        batch = tokenizer(chats, return_tensors="pt", padding=True, truncation=True, max_length=LONGEST)
        ids, mask = (batch[name].to(model.device) for name in ("input_ids", "attention_mask"))
        end = tokenizer.eos_token_id
        rows: list[list[int]] = [[] for _ in questions]
        if ids.shape[1] < LONGEST:
            with torch.inference_mode():
                written = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    eos_token_id=end,
                    pad_token_id=end,
                    max_length=LONGEST,
                    do_sample=False,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                )
            rows = written[:, ids.shape[1] :].tolist()
        return [
            self._answer(question, tokenizer, int(asked.sum()), row)
            for question, asked, row in zip(questions, mask, rows, strict=True)
        ]

    def _answer(self, question: Question, tokenizer: Any, asked: int, row: list[int]) -> Answer | str:
        if tokenizer.eos_token_id not in row:
            return _CUT
        said = tokenizer.decode(row, skip_special_tokens=True)
        number = question.prompt.read(said)
        if number is None:
            return _UNREADABLE
        tokens = row.index(tokenizer.eos_token_id)
        return Answer(verdict=number, said=said, prompt_tokens=asked, completion_tokens=tokens, calls=1)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        placement = place(device="auto")
        dtype = "float32" if placement.device.type == "cpu" else "float16"
        placement = place(device="auto", dtype=dtype)
        tokenizer, model = load_model(
            Path(self.folder), placement.device, placement.dtype, add_eos_token=True, padding_side="left"
        )
        tokenizer.pad_token = tokenizer.eos_token
        return tokenizer, model


def _chat(question: Question, end: str, controls: Sequence[str]) -> str:
    """The question, an empty answer, and the beginning of another, as the published template writes them.

    A text that is judged cannot end its own turn: control tokens in it get a space.
    """
    texts = tuple(defuse(valid_unicode(text), controls) for text in question.texts)
    messages = question.prompt.messages(replace(question, texts=texts))
    asked = "\n\n".join(message["content"] for message in messages)
    return f"{_USER}\n{asked}{end}\n{_MODEL}\n{end}\n{_MODEL}\n"
