"""How quick the metrics are, against the reference packages on the same pairs.

    python benchmarks/metrics.py [--pairs 2000] [--model-pairs 64] [--rounds 3] [--peers FOLDER]

Pairs are Open-i's reports, from the torchxrayvision package, without the R2Gen test split. Systems take turns
on the same pairs, one thread each; a ratio is the median over the rounds of the package's processor time over
ours, above 1 where ours is quicker.

cold: one reference each, texts nobody has seen; caches are emptied between rounds.
rewards: four completions per reference, as in reinforcement fine-tuning, in steps with new completions and
the same references: ours may keep those, the packages keep nothing. The first step is not counted.

Peers: NLTK's ``sentence_bleu`` on the tokens of the protocol, ``rouge-score``, and ``bert-score`` on the same
all-MiniLM-L6-v2, from this environment or from ``--peers`` (a folder of packages); one that is not there is
named under ``skipped``. Each is first checked to give the numbers that ours gives.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radflow.metrics import METRICS, bertscore, default_metrics, lexical, score
from radflow.metrics.lexical import rexrank_tokens
from radflow.readers.networks.embeddings import MINILM_PACKAGE, minilm
from radflow.readers.networks.text_cache import TextCache
from radflow.reports import render_report
from radflow.studies.sources.openi import open_i_reports, r2gen_split

COMPLETIONS = 4
PEERS = {"bleu2": "nltk", "rouge_l": "rouge_score", "bertscore": "bert_score"}
"""Metric to the module of its reference package."""

Pairs = tuple[list[str], list[str]]
System = Callable[[Sequence[str], Sequence[str]], Any]


def nltk_bleu2() -> System:
    """NLTK's sentence BLEU with the protocol's tokens, weights and smoothing."""
    bleu = importlib.import_module("nltk.translate.bleu_score")
    smooth = bleu.SmoothingFunction(epsilon=0.1).method1

    def run(generated: Sequence[str], reference: Sequence[str]) -> list[float]:
        return [
            bleu.sentence_bleu(
                [rexrank_tokens(theirs)],
                rexrank_tokens(ours),
                weights=(0.5, 0.5),
                smoothing_function=smooth,
            )
            for ours, theirs in zip(generated, reference, strict=True)
        ]

    return run


def rouge_score() -> System:
    """Google's ROUGE-L without stemming."""
    scorer = importlib.import_module("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    return lambda generated, reference: [
        scorer.score(theirs, text)["rougeL"].fmeasure
        for text, theirs in zip(generated, reference, strict=True)
    ]


def bert_score() -> System:
    """bert-score on the last layer of all-MiniLM-L6-v2."""
    package = importlib.import_module("bert_score")
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise ImportError(f"no {MINILM_PACKAGE}")
    model = str(Path(spec.origin).parent / "model")
    scorer = package.BERTScorer(model_type=model, num_layers=6, device="cpu")
    return lambda generated, reference: scorer.score(list(generated), list(reference))[2].numpy()


MAKERS: dict[str, Callable[[], System]] = {
    "bleu2": nltk_bleu2,
    "rouge_l": rouge_score,
    "bertscore": bert_score,
}


def ours(name: str) -> System:
    """Our metric; BERTScore with a cache of its own, which :func:`forget` empties."""
    if name == "bertscore":
        reader = minilm(device="cpu", cache=CACHE)
        return lambda generated, reference: bertscore(generated, reference, reader)
    return lambda generated, reference: score(generated, reference, [name])[name]


CACHE = TextCache()


def forget() -> None:
    """Empty every cache of ours."""
    CACHE.clear()
    lexical._reference_ngrams.cache_clear()
    lexical._rouge_tokens.cache_clear()


def race(systems: dict[str, System], rounds: Sequence[Pairs], *, cold: bool) -> dict[str, list[float]]:
    """Processor seconds of each system on each round but the first; systems take turns in going first."""
    took: dict[str, list[float]] = {name: [] for name in systems}
    for number, pairs in enumerate(rounds):
        names = list(systems)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if cold:
                forget()
            start = time.process_time()
            systems[name](*pairs)
            took[name].append(time.process_time() - start)
    return {name: seconds[1:] for name, seconds in took.items()}


def ratio(took: dict[str, list[float]]) -> float | None:
    """Median of the package's seconds over ours."""
    if "package" not in took:
        return None
    pairs = zip(took["package"], took["radflow"], strict=True)
    return round(statistics.median(theirs / mine for theirs, mine in pairs), 2)


def cold_rounds(draw: Iterator[str], pairs: int, rounds: int) -> list[Pairs]:
    """New texts on both sides."""
    texts = [[next(draw) for _ in range(pairs)] for _ in range(2 * (rounds + 1))]
    return list(zip(texts[::2], texts[1::2], strict=True))


def reward_rounds(draw: Iterator[str], pairs: int, rounds: int) -> list[Pairs]:
    """New completions for the same references, four for each."""
    references = [next(draw) for _ in range(pairs // COMPLETIONS)]
    repeated = [reference for reference in references for _ in range(COMPLETIONS)]
    return [([next(draw) for _ in repeated], repeated) for _ in range(rounds + 1)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything this benchmark prints."""
    torch.set_num_threads(1)
    times, speed, differences, skipped = {}, {}, {}, {}
    for name in default_metrics("chest-xray"):
        pairs = arguments.model_pairs if name == "bertscore" else arguments.pairs
        systems = {"radflow": ours(name)}
        draw = draw_texts(arguments.seed)
        if name in MAKERS:
            try:
                systems["package"] = MAKERS[name]()
            except ImportError as error:
                skipped[PEERS[name]] = f"not imported: {error}"
            else:
                [sample] = cold_rounds(draw, min(pairs, 200), 0)
                apart = np.abs(np.asarray(systems["package"](*sample)) - systems["radflow"](*sample))
                differences[name] = float(f"{apart.max():.1e}")
        cold = race(systems, cold_rounds(draw, pairs, arguments.rounds), cold=True)
        forget()
        rewards = race(systems, reward_rounds(draw, pairs, arguments.rounds), cold=False)
        if name in differences:
            times[name] = {"peer": PEERS[name], "cold": ratio(cold), "rewards": ratio(rewards)}
        speed[name] = {
            case: round(pairs / statistics.median(took["radflow"]))
            for case, took in (("cold", cold), ("rewards", rewards))
        }
    return {
        "times as quick as the reference package": times,
        "largest difference from it": differences,
        "our pairs per second": {METRICS[name].label: values for name, values in speed.items()},
        "skipped": skipped,
        "set-up": {
            "pairs per round": arguments.pairs,
            "pairs per round with a model": arguments.model_pairs,
            "rounds": arguments.rounds,
            "threads": torch.get_num_threads(),
            "seed": arguments.seed,
        },
    }


def draw_texts(seed: int) -> Iterator[str]:
    """Open-i reports with both sections, none of the test split, in a random order, without end.

    When all were drawn they come again, each with its own number behind it: so no text comes twice.
    """
    held_out = {number for number, split in r2gen_split().items() if split == "test"}
    texts = [
        render_report(report.findings, report.impression)
        for report in open_i_reports()
        if report.findings and report.impression and report.number not in held_out
    ]
    texts = list(dict.fromkeys(texts))
    random.Random(seed).shuffle(texts)
    yield from texts
    turn = 1
    while True:
        yield from (f"{text} {turn}" for text in texts)
        turn += 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=2000, help="pairs per round")
    parser.add_argument("--model-pairs", type=int, default=64, help="pairs per round for BERTScore")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", type=Path, help="a folder of packages (pip install --target)")
    parsed = parser.parse_args()
    if parsed.peers:
        sys.path.append(str(parsed.peers))
    warnings.simplefilter("ignore")
    stdout, sys.stdout = sys.stdout, sys.stderr  # the peers print
    measured = measure(parsed)
    sys.stdout = stdout
    print(json.dumps(measured, indent=1))
