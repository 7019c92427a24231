"""How many images per second reach a model, beside how many it needs. Prints one JSON object, ratios first.

    OMP_NUM_THREADS=1 python benchmarks/images.py [--pictures 12] [--rounds 3]

Pictures of the size of radiographs (2500 x 3050, 8 bits, film-like: smooth with grain) as PNG and JPEG go
through the image processors of LLaVA 1.5 (336), Gemma 3 (896) and the tiny policy (96), up to the tensors
of the model: decoded anew, and through 1 and 2 threads and processes. The ways take turns in every round, and
the median round counts; ``cpu_seconds`` are of all threads of the process, and so hold on a busy machine too.

The need is the tiny policy's, measured: a step of SFT at the quickstart's sizes, for each of its images. That
of a 3B model on a GPU is arithmetic and named so: 4 FLOP a parameter and token (forward, and backward through
frozen weights) at a share of the GPU's peak.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from radflow import config
from radflow.cli.overrides import read_recipe
from radflow.policy import Policy, PromptEncoder, build_tiny, load_policy
from radflow.reports import Report
from radflow.studies import Study
from radflow.studies.images import to_pil
from radflow.studies.manifest import read_manifest
from radflow.studies.preparing.engine import prepare_source
from radflow.training.examples import make_examples, to_tensors
from radflow.training.sft import SftModel
from radflow.training.sft_terms import SentenceRarity

HEIGHT, WIDTH = 3050, 2500
PROCESSORS: dict[str, Callable[[], Any] | None] = {
    "tiny-96": None,  # its own
    "llava-1.5-336": lambda: LlavaImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    ),
    "gemma3-896": lambda: Gemma3ImageProcessorPil(size={"height": 896, "width": 896}),
}
WORKERS = (1, 2)
WITH_PROCESSES = "llava-1.5-336"
"""Where processes are measured too; each takes half a gigabyte and seconds to start."""
GPU_PEAK, GPU_SHARE = 989e12, 0.4
"""bf16 FLOP/s of an H100 or H200 without sparsity, and the share of it that training reaches."""
LARGE = {"parameters": 3e9, "visual_tokens": 1_000, "text_tokens": 200}

_encode: Callable[[Study], Any] | None = None


def film(seed: int) -> Image.Image:
    """A smooth picture with grain, which compresses about as a radiograph does."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(30, 220, (61, 50), dtype=np.uint8)).resize((WIDTH, HEIGHT), 3)
    grain = draw.normal(0, 2, (HEIGHT, WIDTH))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def write_films(folder: Path, count: int) -> dict[str, list[Study]]:
    """The same pictures as PNG and as JPEG, a study each."""
    made: dict[str, list[Study]] = {"png": [], "jpeg": []}
    for number in range(count):
        picture = film(number)
        for kind, studies in made.items():
            path = folder / f"{number}.{kind}"
            picture.save(path, **({"quality": 95} if kind == "jpeg" else {}))
            report = Report(text="Clear.", findings=None, impression=None)
            studies.append(Study(study_id=path.name, patient_id=path.name, images=(path,), reference=report))
    return made


def fitted(policy: Policy, name: str) -> Policy:
    """The policy's processor with another image processor."""
    make = PROCESSORS[name]
    if make is not None:
        policy.processor.image_processor = make()
    return policy


def encoder(policy: Policy, workers: int = 0) -> PromptEncoder:
    """One that remembers nothing."""
    settings = config.Policy(prompt="Write.", max_prompt_tokens=10**6, image_workers=workers)
    return PromptEncoder(policy.processor, settings, max_bytes=1)


def in_process(model: Path, processor: str) -> None:
    """Make the encoder of a worker process."""
    global _encode
    torch.set_num_threads(1)
    _encode = encoder(fitted(load_policy(model, read_recipe("quickstart", ()).policy), processor))


def encode_there(study: Study) -> Any:
    """What a worker process gives back: tensors, through a pipe as arrays."""
    assert _encode is not None
    made = _encode(study)
    return made.input_ids.numpy(), {name: t.numpy() for name, t in made.image_fields.items()}


def measure(model: Path, name: str, studies: Sequence[Study], rounds: int) -> dict[str, Any]:
    """Images per second of every way, the median of some rounds in which they take turns."""
    knobs = read_recipe("quickstart", ()).policy
    policy = fitted(load_policy(model, knobs), name)
    threads = {workers: encoder(policy, workers=workers) for workers in WORKERS}

    def one_by_one(encode: PromptEncoder) -> None:
        for study in studies:
            encode(study)

    def ahead(workers: int) -> None:
        threads[workers].ahead(studies)
        one_by_one(threads[workers])

    with_processes = {
        workers: ProcessPoolExecutor(
            workers, get_context("spawn"), initializer=in_process, initargs=(model, name)
        )
        for workers in (WORKERS if name == WITH_PROCESSES else ())
    }
    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: [to_pil(study.images[0]) for study in studies],
        "decode_and_process": lambda: one_by_one(encoder(policy)),
        **{f"threads_{w}": lambda w=w: ahead(w) for w in WORKERS},
        **{
            f"processes_{w}": lambda w=w: list(with_processes[w].map(encode_there, studies))
            for w in with_processes
        },
    }
    for way in (w for w in ways if w.startswith(("processes", "threads"))):
        ways[way]()  # processes start, processors are copied
    wall: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, work in ways.items():
            begun, busy = time.perf_counter(), time.process_time()
            work()
            wall[way].append((time.perf_counter() - begun) / len(studies))
            cpu[way].append((time.process_time() - busy) / len(studies))
    for pool in with_processes.values():
        pool.shutdown()
    tensors = encoder(policy)(studies[0])
    return {
        "images_per_second": {way: round(1 / statistics.median(s), 1) for way, s in wall.items()},
        "cpu_seconds_an_image": {
            way: round(statistics.median(s), 4) for way, s in cpu.items() if not way.startswith("processes")
        },
        "tensor_bytes_an_image": tensors.bytes,
    }


def quickstart_need(folder: Path, count: int = 96) -> dict[str, Any]:
    """A step of SFT of the quickstart's policy: seconds per image, and what encoding that image costs."""
    recipe = read_recipe("quickstart", ())
    size = recipe.data.image_size
    prepare_source("carotid-phantom", None, folder / "studies.jsonl", count=count, image_size=size)
    studies = list(read_manifest(folder / "studies.jsonl").studies)
    pictures = [path for study in studies for path in study.images]
    texts = [study.reference.canonical for study in studies]
    build_tiny(recipe.policy.tiny, folder / "model", texts=texts, images=pictures[:64], seed=0)
    policy = load_policy(folder / "model", recipe.policy)
    encode = encoder(policy)
    begun = time.perf_counter()
    for study in studies:
        encode(study)
    encoding = (time.perf_counter() - begun) / len(pictures)
    examples = make_examples(policy, studies, rarity=SentenceRarity(texts, 0.0))
    model = SftModel(policy.model, None, 0.0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    seconds = []
    size = recipe.sft.batch_size
    for start in range(0, len(examples) - size + 1, size):
        part = examples[start : start + size]
        inputs = to_tensors(policy, part, torch.device("cpu"))
        begun = time.perf_counter()
        loss, _ = model(*inputs)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append((time.perf_counter() - begun) / sum(len(e.study.images) for e in part))
    step = statistics.median(seconds)
    return {
        "sft_images_per_second_wanted": round(1 / step, 1),
        "encoding_images_per_second_1_thread": round(1 / encoding, 1),
        "share_of_a_step_without_workers": round(encoding / (encoding + step), 3),
    }


def large_need() -> dict[str, Any]:
    """Arithmetic, not a measurement."""
    tokens = LARGE["visual_tokens"] + LARGE["text_tokens"]
    flop = 4 * LARGE["parameters"] * tokens
    return {
        "estimate": "arithmetic, not measured",
        **LARGE,
        "gpu_peak_flop_per_second": GPU_PEAK,
        "gpu_share": GPU_SHARE,
        "sft_images_per_second_wanted": round(GPU_PEAK * GPU_SHARE / flop, 1),
    }


def ratios(found: dict[str, dict[str, Any]], wanted: float) -> dict[str, Any]:
    """What a reader wants to know first."""

    def of(rates: dict[str, float], way: str, other: str) -> float:
        return round(rates[way] / rates[other], 2)

    return {
        name: {
            "threads_2_over_1": of(row["images_per_second"], "threads_2", "threads_1"),
            **(
                {"processes_2_over_threads_2": of(row["images_per_second"], "processes_2", "threads_2")}
                if "processes_2" in row["images_per_second"]
                else {}
            ),
            "threads_for_a_3b_model": round(wanted * row["cpu_seconds_an_image"]["decode_and_process"], 1),
        }
        for name, row in found.items()
    }


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(None if arguments is None else list(arguments))
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        need = quickstart_need(folder / "quickstart")
        films = write_films(folder, asked.pictures)
        model = folder / "quickstart" / "model"
        found = {
            f"{kind}, {name}": measure(model, name, films[kind], asked.rounds)
            for name in PROCESSORS
            for kind in (("png", "jpeg") if name == "llava-1.5-336" else ("png",))
        }
        wanted = large_need()
        print(
            json.dumps(
                {
                    "ratios": ratios(found, wanted["sft_images_per_second_wanted"]),
                    "need": {"quickstart policy, here": need, "3B model on one GPU": wanted},
                    "measured": found,
                    "file_mb": {
                        kind: round(films[kind][0].images[0].stat().st_size / 1e6, 2) for kind in films
                    },
                    "torch_threads": torch.get_num_threads(),
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
