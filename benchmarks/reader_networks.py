"""How quick the network readers are, against the packages people use for the same networks.

    python benchmarks/reader_networks.py [--reports 16] [--rounds 3] [--device cuda] [--threads 1]
                                         [--batch-tokens 512] [--peers FOLDER] [--radeval FOLDER]

The weights are random, of the real shape (BERT-base, the heads of ``radgraph``; six layers for BERTScore),
and the same for all (``random_networks.py``). Reports are Open-i's, from the torchxrayvision package,
without the R2Gen test split. Systems take turns on the same reports; a ratio is the median over the rounds
of the peer's time over ours. Processor time counts all threads; with ``--threads 1`` it is what a shared
machine measures best. On a GPU only wall time says anything.

cold: reports nobody has seen. rewards: groups of four new completions with one reference each, as in
reinforcement fine-tuning, where the references were read in an earlier step: ours kept them, the packages
keep nothing.

Peers are imported from this environment, from ``--peers`` (a folder of packages) and, for RadEval, from
``--radeval`` (a folder that holds its package ``radeval``); one that is not there is named under ``skipped``.
They run without gradients, which the radgraph package does not see to by itself.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from random_networks import write_chexbert, write_embedder, write_radgraph
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from radflow.metrics.bertscore import bertscore
from radflow.metrics.radgraph_f1 import radgraph_f1_from_graphs
from radflow.readers.networks.chexbert import CheXbert
from radflow.readers.networks.embeddings import MINILM_PACKAGE, TokenEmbedder
from radflow.readers.networks.inference import place
from radflow.readers.networks.radgraph import RadGraph
from radflow.readers.networks.text_cache import TextCache
from radflow.reports import render_report
from radflow.studies.sources.openi import open_i_reports, r2gen_split

COMPLETIONS = 4
System = Callable[..., Any]


# The peers


def radgraph_package(home: Path, device: str) -> tuple[Any, Any]:
    """The radgraph package's reader and its F1, with the two methods that transformers 5 took away."""
    PreTrainedTokenizerBase.encode_plus = PreTrainedTokenizerBase.__call__
    PreTrainedTokenizerBase.build_inputs_with_special_tokens = lambda self, ids: [
        self.cls_token_id,
        *ids,
        self.sep_token_id,
    ]
    return _readers(importlib.import_module("radgraph"), home, device)


def radeval_copy(folder: Path | None, home: Path, device: str) -> tuple[Any, Any]:
    """RadEval's copy of it.

    RadEval 2.2.1 as published does not import on Linux: its folder is ``radeval``, its files import
    ``RadEval``. So the copy is imported under that name, without what stands around it.
    """
    if folder is None:
        raise ImportError("no --radeval")
    for name, path in (("RadEval", folder / "radeval"), ("RadEval.metrics", folder / "radeval" / "metrics")):
        if not path.is_dir():
            raise ImportError(f"no {path}")
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    return _readers(importlib.import_module("RadEval.metrics.radgraph._vendor"), home, device)


def _readers(module: Any, home: Path, device: str) -> tuple[Any, Any]:
    options = {
        "model_type": home.name,
        "model_cache_dir": str(home.parent),
        "cuda": 0 if device.startswith("cuda") else -1,
    }
    f1 = module.F1RadGraph(reward_level="simple", **options)
    return f1.radgraph, f1


def one_report_at_a_time(ours: CheXbert) -> System:
    """CheXbert as f1chexbert runs it: one forward per report. The package itself needs transformers 4."""
    device = ours._placement.device

    def read(texts: Sequence[str]) -> list[list[int]]:
        rows = []
        for text in texts:
            ids = ours._tokenizer(text, truncation=True, max_length=512, return_tensors="pt").to(device)
            hidden = ours._network["bert"](ids["input_ids"], attention_mask=ids["attention_mask"])
            cls = hidden.last_hidden_state[:, 0]
            rows.append([head(cls).argmax(dim=1).item() for head in ours._network["linear_heads"]])
        return rows

    return read


# Measuring


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def timed(system: System, *arguments: Any) -> tuple[dict[str, float], Any]:
    """Seconds by each clock, and the result."""
    start = {name: clock() for name, clock in CLOCKS.items()}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = system(*arguments)
    return {name: clock() - start[name] for name, clock in CLOCKS.items()}, result


def race(
    ours: System, peers: dict[str, System], rounds: Sequence[tuple[Any, ...]], reports: int
) -> dict[str, Any]:
    """Let systems take turns on the arguments of each round; the first round warms up and is not counted."""
    systems = {"radflow": ours, **peers}
    took: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for number, arguments in enumerate(rounds):
        names = list(systems)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds, _ = timed(systems[name], *arguments)
            if number:
                took[name].append(seconds)
    result: dict[str, Any] = {}
    for clock in CLOCKS:
        of = {name: [seconds[clock] for seconds in rows] for name, rows in took.items()}
        result[f"times as quick as, {clock} time"] = {
            name: round(statistics.median(a / b for a, b in zip(of[name], of["radflow"], strict=True)), 2)
            for name in peers
        }
        result[f"reports per second, {clock} time"] = {
            name: round(reports / statistics.median(seconds), 2) for name, seconds in of.items()
        }
    return result


def differences(ours: System, peer: System, texts: Sequence[str]) -> dict[str, int]:
    """Graphs of ours that are not the peer's, for any reason."""
    _, theirs = timed(peer, list(texts))
    pairs = zip(ours(texts), (theirs[str(number)] for number in range(len(texts))), strict=True)
    found = [(a, b) for a, b in pairs]
    return {
        "reports": len(texts),
        "entities": sum(len(graph["entities"]) for _, graph in found),
        "relations": sum(len(e["relations"]) for _, graph in found for e in graph["entities"].values()),
        "different": sum(a != b for a, b in found),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything this benchmark prints."""
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    texts = open_i_texts(arguments.seed)
    draw = iter(texts).__next__

    def cold_rounds() -> list[tuple[list[str]]]:
        return [([draw() for _ in range(arguments.reports)],) for _ in range(arguments.rounds + 1)]

    def reward_rounds() -> list[tuple[list[str], list[str]]]:
        references = [draw() for _ in range(arguments.reports // COMPLETIONS)]
        repeated = [reference for reference in references for _ in range(COMPLETIONS)]
        return [([draw() for _ in repeated], repeated) for _ in range(arguments.rounds + 1)]

    options: dict[str, Any] = {
        "device": arguments.device,
        "dtype": arguments.dtype,
        "batch_tokens": arguments.batch_tokens,
    }
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"Expected the package {MINILM_PACKAGE}, whose word pieces are used; found none.")
    tokenizer = AutoTokenizer.from_pretrained(Path(spec.origin).parent / "model")
    skipped: dict[str, str] = {}
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = write_radgraph(Path(folder), tokenizer, texts[-8:])
        cold, warm = (
            RadGraph(home, cache=None, **options),
            RadGraph(home, cache=TextCache(), **options),
        )
        packages: dict[str, tuple[Any, Any]] = {}
        for name, make in (
            ("radgraph 0.1.18", lambda: radgraph_package(home, arguments.device)),
            ("RadEval's copy", lambda: radeval_copy(arguments.radeval, home, arguments.device)),
        ):
            try:
                packages[name] = make()
            except ImportError as error:
                skipped[name] = f"not imported: {error}"
        result["radgraph"] = {
            "cold": race(cold, {n: p for n, (p, _) in packages.items()}, cold_rounds(), arguments.reports),
            "rewards": race(
                lambda hyps, refs: radgraph_f1_from_graphs(warm(hyps), warm(refs), level="simple"),
                {n: lambda hyps, refs, f1=f1: f1(hyps=hyps, refs=refs) for n, (_, f1) in packages.items()},
                reward_rounds(),
                arguments.reports,
            ),
            "same graphs": {
                name: differences(cold, reader, texts[-arguments.compared :])
                for name, (reader, _) in packages.items()
            },
        }
        del cold, warm, packages
        result["chexbert"] = chexbert(
            Path(folder), tokenizer, options, cold_rounds(), reward_rounds(), arguments
        )
        result["bertscore"] = bertscores(
            Path(folder), tokenizer, options, reward_rounds(), arguments, skipped
        )
    words = statistics.median(len(text.split()) for text in texts)
    return {
        **result,
        "skipped": skipped,
        "set-up": {
            "device": arguments.device,
            "dtype of ours": arguments.dtype,
            "tokens in a batch of ours": place(**options).batch_tokens,
            "threads": torch.get_num_threads(),
            "reports per round": arguments.reports,
            "rounds": arguments.rounds,
            "median words of a report": words,
            "seed": arguments.seed,
            "torch": torch.__version__,
        },
    }


def chexbert(
    folder: Path,
    tokenizer: Any,
    options: dict[str, Any],
    cold: Any,
    rewards: Any,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    home = write_chexbert(folder, tokenizer)
    ours, kept = CheXbert(home, cache=None, **options), CheXbert(home, cache=TextCache(), **options)
    loop = one_report_at_a_time(ours)
    name = "one report at a time"
    return {
        "cold": race(ours, {name: loop}, cold, arguments.reports),
        "rewards": race(
            lambda hyps, refs: (kept(hyps), kept(refs)),
            {name: lambda hyps, refs: (loop(hyps), loop(refs))},
            rewards,
            arguments.reports,
        ),
    }


def bertscores(
    folder: Path,
    tokenizer: Any,
    options: dict[str, Any],
    rewards: Any,
    arguments: argparse.Namespace,
    skipped: dict[str, str],
) -> dict[str, Any]:
    home = write_embedder(folder, tokenizer)
    ours = TokenEmbedder(home, layer=5, cache=TextCache(), **options)
    peers: dict[str, System] = {}
    try:
        package = importlib.import_module("bert_score")
        scorer = package.BERTScorer(model_type=str(home), num_layers=5, device=arguments.device)
        peers["bert-score"] = lambda hyps, refs: scorer.score(hyps, refs)
    except ImportError as error:
        skipped["bert-score"] = f"not imported: {error}"
    return {
        "rewards": race(lambda hyps, refs: bertscore(hyps, refs, ours), peers, rewards, arguments.reports)
    }


def open_i_texts(seed: int) -> list[str]:
    """Open-i reports with both sections in a random order, none of the test split."""
    held_out = {number for number, split in r2gen_split().items() if split == "test"}
    texts = [
        render_report(report.findings, report.impression)
        for report in open_i_reports()
        if report.findings and report.impression and report.number not in held_out
    ]
    random.Random(seed).shuffle(texts)
    return list(dict.fromkeys(texts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=16, help="reports or completions per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compared", type=int, default=32, help="reports whose graphs are compared")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch-tokens", type=int, help="of ours; its default unless given")
    parser.add_argument("--threads", type=int, help="of torch; on a shared machine 1 is the steadiest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", type=Path, help="a folder of packages (pip install --target)")
    parser.add_argument("--radeval", type=Path, help="a folder that holds RadEval's package radeval")
    parsed = parser.parse_args()
    if parsed.peers:
        sys.path.append(str(parsed.peers))
    stdout, sys.stdout = sys.stdout, sys.stderr  # the peers print
    measured = measure(parsed)
    sys.stdout = stdout
    print(json.dumps(measured, indent=1))
