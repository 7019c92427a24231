"""What batches buy a judge on this machine; prints one JSON object, ratios first.

    python benchmarks/judge_local.py [--questions 64] [--hidden 256] [--layers 4] [--rounds 5] [--threads 1]

A Llama with random weights answers made-up reports, about 250 tokens per question. Each round asks the same
questions three ways, in turn: in batches, one by one, and one by one as two whole rows without a cache, which
is what scoring two answers costs when nothing is shared. ``batched_over_alone`` and ``batched_over_rows`` are
medians over the rounds of answers per second, each against the other way in the same round. Verdicts are the
same in all of them, or the benchmark stops. The first question loads the model; it is not timed.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from radflow.judges.llm.local import LocalModel
from radflow.judges.llm.local_chat import encode
from radflow.judges.llm.questions import Answer, Question, load_prompt

SENTENCES = (
    "The lungs are clear without focal consolidation.",
    "There is a small left pleural effusion with adjacent atelectasis.",
    "The cardiac silhouette is mildly enlarged.",
    "No pneumothorax is seen on either side.",
    "A right internal jugular line ends in the superior vena cava.",
    "Degenerative changes of the thoracic spine are noted.",
)
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def build(folder: Path, hidden: int, layers: int) -> None:
    """Save a Llama with random weights, and a byte-level tokenizer that knows the sentences."""
    torch.manual_seed(0)
    shape = {"hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers}
    heads = {"num_attention_heads": hidden // 32, "num_key_value_heads": max(1, hidden // 128)}
    config = LlamaConfig(
        vocab_size=8_000, max_position_embeddings=2_048, initializer_range=0.1, **shape, **heads
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    bytes_of_text = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = bytes_of_text, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2_000, initial_alphabet=bytes_of_text.alphabet(), show_progress=False
    )
    prompt = load_prompt("consistency")
    tokenizer.train_from_iterator([*SENTENCES, prompt.system, prompt.user], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def make_questions(count: int) -> list[Question]:
    """Reports of 2 to 12 sentences."""
    draw = random.Random(0)
    return [
        Question(
            kind="consistency",
            texts=(
                " ".join(draw.choices(SENTENCES, k=draw.randint(2, 10))),
                " ".join(draw.choices(SENTENCES, k=draw.randint(1, 2))),
            ),
        )
        for _ in range(count)
    ]


def ask(judge: LocalModel, questions: Sequence[Question]) -> list[bool]:
    """All at once."""
    answers: dict[int, Answer] = {}
    judge.ask(questions, answers.__setitem__)
    return [answers[index].verdict for index in range(len(questions))]


def ask_alone(judge: LocalModel, questions: Sequence[Question]) -> list[bool]:
    """One call a question."""
    return [ask(judge, [question])[0] for question in questions]


def ask_rows(tokenizer: Any, model: Any, questions: Sequence[Question]) -> list[bool]:
    """One forward per answer, without padding and cache."""
    verdicts = []
    for question in questions:
        row = encode(tokenizer, question)
        yes, no = (whole_row(model, row.prompt, answer) for answer in row.answers)
        verdicts.append(yes > no)
    return verdicts


@torch.inference_mode()
def whole_row(model: Any, prompt: list[int], answer: list[int]) -> float:
    """Log-probability of an answer."""
    logits = model(torch.tensor([prompt + answer]), use_cache=False, logits_to_keep=len(answer) + 1).logits[0]
    return float(logits[:-1].log_softmax(-1)[range(len(answer)), answer].sum())


def seconds(way: Callable[[], list[bool]], expected: list[bool]) -> float:
    """How long one way takes, if it gives the verdicts."""
    started = time.perf_counter()
    if way() != expected:
        raise SystemExit("expected the same verdicts in every way, got others")
    return time.perf_counter() - started


def measure(parsed: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Rounds in which the three ways take turns."""
    torch.set_num_threads(parsed.threads)
    build(folder, parsed.hidden, parsed.layers)
    questions = make_questions(parsed.questions)
    judge = LocalModel(folder, device="cpu")
    expected = ask(judge, questions)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ways: dict[str, Callable[[], list[bool]]] = {
        "batched": lambda: ask(judge, questions),
        "alone": lambda: ask_alone(judge, questions),
        "rows": lambda: ask_rows(tokenizer, model, questions),
    }
    rounds = [{name: seconds(way, expected) for name, way in ways.items()} for _ in range(parsed.rounds)]
    tokens = sum(len(encode(tokenizer, question).prompt) for question in questions)
    return {
        "batched_over_alone": round(median(r["alone"] / r["batched"] for r in rounds), 2),
        "batched_over_rows": round(median(r["rows"] / r["batched"] for r in rounds), 2),
        "questions_a_second": {
            name: round(len(questions) / median(r[name] for r in rounds), 1) for name in ways
        },
        "tokens_a_question": round(tokens / len(questions)),
        "yes": sum(expected),
        "questions": len(questions),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "threads": parsed.threads,
        "rounds": parsed.rounds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(parser.parse_args(), Path(folder)), indent=1))
