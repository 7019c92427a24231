"""Put a few studies through a run's own stages and measure them: the work behind ``--dry-run``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from radflow.config import Recipe
from radflow.errors import DataError, TrainingError
from radflow.files import read_jsonl
from radflow.run.first_studies import READ, first_studies
from radflow.run.named_model import is_here
from radflow.run.starting import looks
from radflow.run.studies import check_language, languages
from radflow.studies import Study
from radflow.studies.manifest import write_manifest

if TYPE_CHECKING:
    from radflow.policy import Policy
    from radflow.run.pipeline import Pipeline

ON_CPU = 4
"""Studies of a batch that are tried where a pretrained model has no accelerator; the rest is scaled."""
_TINY_GROUPS = 8  # of a step that are tried with the tiny policy; the rest is scaled
_SFT_STEPS = 3  # the first is slower than the others
_SYSTEMS = 3  # whose reports `generate` decodes


@dataclass(kw_only=True)
class Seconds:
    """What was measured, in seconds; ``None`` until then."""

    a_study_read: float | None = None
    a_report: float | None = None
    an_sft_step: float | None = None
    an_rft_step: float | None = None


class NotHereError(Exception):
    """A check that cannot be done here, and why; it is not a failure."""


class Rehearsal:
    """The steps of a dry run, each built on those before."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self.seconds = Seconds()
        self.read: tuple[Study, ...] = ()
        self.counts: Counter[str] = Counter()
        self.whole = True
        self._pipeline: Pipeline | None = None
        self._policy: Policy | None = None

    def steps(self, after: str | None) -> Iterator[tuple[str, Sequence[str], Callable[[], str]]]:
        """Name, what it needs, and what to do."""
        for name, look in looks(self.recipe).items():
            yield name, (), look
        yield "run's folder", (), lambda: self.look_at_folder(after)
        yield "studies", ("data", "packages"), self.read_studies
        yield "policy", ("model", "studies"), self.load
        yield "prompts", ("policy",), self.encode
        yield "reports", ("prompts",), self.write
        yield "SFT step", ("reports",), self.train
        yield "exploration", ("SFT step",), self.explore
        yield "RFT step", ("exploration",), self.reinforce
        yield "time of the run", ("RFT step",), self.estimate

    # ---- what is there -----------------------------------------------------------------------------------

    def look_at_folder(self, after: str | None) -> str:
        """What the run's folder holds; nothing in it is changed."""
        root = self.recipe.out
        stages = root / "stages"
        markers = [p.relative_to(stages).with_suffix("").as_posix() for p in stages.rglob("*.json")]
        done = [name for name in markers if not name.endswith(".started")]
        if after is not None and after not in done:
            raise TrainingError(f"{root}: the stage {after!r} is not done; run it first, or `radflow run`")
        if not root.exists():
            return f"{root}: new"
        return f"{root}: there already; done: {', '.join(sorted(done)) or 'nothing'}"

    def read_studies(self) -> str:
        """The first studies, their pictures looked at, as the stage ``prepare`` would."""
        begun = time.perf_counter()
        manifest, self.counts = first_studies(self.recipe, self.folder)
        self.seconds.a_study_read = (time.perf_counter() - begun) / max(1, READ)
        self.read = manifest.studies
        tried = len(self.read) + len(manifest.rejected)
        bad = (
            f"; set aside {len(manifest.rejected)}, e.g. {manifest.rejected[0].reason}"
            if manifest.rejected
            else ""
        )
        if not self.read or len(manifest.rejected) > self.recipe.data.max_bad_share * tried:
            raise DataError(f"{len(self.read)} of the first {tried} studies can be used{bad}")
        if said := check_language(self.recipe, languages(self.read)):
            bad += f"; {said}"
        splits = Counter(str(study.split) for study in self.read)
        found = f"{len(self.read)} of the first {tried} can be used ({_splits(splits)}){bad}"
        return f"{found}; in all {_splits(self.counts)}"

    # ---- what works --------------------------------------------------------------------------------------

    def load(self) -> str:
        """The model with its processor, as SFT loads it."""
        if not is_here(self.recipe.policy.model):
            name = self.recipe.policy.model
            raise NotHereError(f"{name} is not fetched yet; `hf download {name}`, then this measures it too")
        import torch

        from radflow.policy.families import bare
        from radflow.run.pipeline import Pipeline

        self.whole = self.recipe.policy.from_noise or torch.accelerator.is_available()
        begun = time.perf_counter()
        self._pipeline = Pipeline(self._small())
        self._pipeline.prepare()
        self._policy, said = self._pipeline.untrained()
        parameters = [(p.numel(), p.requires_grad) for p in self._policy.model.parameters()]
        trained = sum(n for n, trains in parameters if trains)
        total = sum(n for n, _ in parameters)
        return (
            f"{type(bare(self._policy.model)).__name__}, {total / 1e6:,.1f} M parameters, "
            f"{trained / 1e6:,.2f} M trained ({said}), {self._policy.device.type}, "
            f"{type(self._policy.processor).__name__}; loaded in {time.perf_counter() - begun:.0f} s"
        )

    def encode(self) -> str:
        """The prompts of all studies that were read: one that is too long would end the run hours later."""
        from radflow.policy.families import reserved_tokens

        _, policy = self._ready()
        reserved = set(reserved_tokens(policy.model))
        lengths, pictures, reports = [], [], []
        for study in self.read:
            ids = policy.encoder(study).input_ids.tolist()
            lengths.append(len(ids))
            pictures.append(sum(i in reserved for i in ids))
            reports.append(len(policy.tokenizer(study.reference.canonical).input_ids))
        cut = sum(n > self.recipe.policy.max_new_tokens for n in reports)
        longer = f"; {cut} are longer than policy.max_new_tokens" if cut else ""
        return (
            f"at most {max(lengths):,} tokens of {self.recipe.policy.max_prompt_tokens:,} allowed, "
            f"{max(pictures):,} of them of images; reports at most {max(reports):,}{longer}"
        )

    def write(self) -> str:
        """Greedy reports, as exploration, validation and generate write them."""
        from radflow.policy import greedy_texts

        _, policy = self._ready()
        some = self.read[: self.recipe.evaluation.batch_size if self.whole else ON_CPU]
        begun = time.perf_counter()
        texts = list(greedy_texts(policy, self.recipe, some))
        self.seconds.a_report = (time.perf_counter() - begun) / len(texts)
        return f"{self.seconds.a_report:.2f} s per report, {len(texts)} decoded together; {_peak()}"

    def train(self) -> str:
        """A few steps of SFT: forward, backward, update, validation, checkpoint."""
        pipeline, _ = self._ready()
        self._policy, before = None, _forget_peak()
        pipeline.sft()
        self.seconds.an_sft_step = (
            min(self._logged("sft")) * self._scale("sft") * self.recipe.sft.accumulation
        )
        memory = _peak(before, self._scale("sft"))
        studies = self.recipe.sft.batch_size * self.recipe.sft.accumulation
        return f"{self.seconds.an_sft_step:.2f} s per step of {studies} studies; {memory}"

    def explore(self) -> str:
        """Target Exploration of the same few, with its metrics."""
        pipeline = self._pipeline
        assert pipeline is not None
        pipeline.explore()
        return "predicts, scores and picks"

    def reinforce(self) -> str:
        """A step of RFT: groups sampled and rewarded by the rules, the inner steps, two validations."""
        pipeline = self._pipeline
        assert pipeline is not None
        before = _forget_peak()
        pipeline.rft()
        [seconds] = self._logged("rft")
        rft = self.recipe.rft
        self.seconds.an_rft_step = seconds * self._scale("rft")
        return (
            f"{self.seconds.an_rft_step:.2f} s per step of {rft.studies_per_step} groups of "
            f"{rft.group_size}, {self.seconds.an_rft_step / rft.studies_per_step:.2f} s per group; "
            f"{_peak(before, self._scale('rft'))}"
        )

    def estimate(self) -> str:
        """Seconds of each stage: what was measured, times what the recipe asks for."""
        recipe, s, counts = self.recipe, self.seconds, self.counts
        assert s.a_report and s.an_sft_step and s.an_rft_step and s.a_study_read is not None
        if not counts.total():
            raise NotHereError("the data set does not say how many studies it has; times of a step are above")
        sft, rft, explored = recipe.sft, recipe.rft, recipe.exploration.studies or counts["train"]
        an_epoch = -(-counts["train"] // (sft.batch_size * sft.accumulation))
        sft_steps = round(sft.label_epochs * an_epoch) + max(1, round(sft.epochs * an_epoch))
        candidates = min(explored, counts["train"])
        if recipe.exploration.strategy == "learnable":
            candidates *= recipe.exploration.samples
        rounds = (
            (rft.steps - 1) // recipe.exploration.refresh_every if recipe.exploration.refresh_every else 0
        )
        validations = 1 + -(-rft.steps // rft.validate_every)
        validated = validations * min(rft.validation_studies, counts["validate"])
        written = min(sft.validation_studies, counts["validate"]) if sft.keep == "diagnosis" else 0
        tested = min(recipe.evaluation.studies or counts["test"], counts["test"])
        stages = {
            "prepare": counts.total() * s.a_study_read,
            "sft": sft_steps * (s.an_sft_step + written * s.a_report / sft.validate_every),
            "predict": candidates * s.a_report,
            "rft": rft.steps * s.an_rft_step + (validated + rounds * candidates) * s.a_report,
            "generate": _SYSTEMS * tested * s.a_report,
        }
        parts = ", ".join(f"{stage} {_duration(seconds)}" for stage, seconds in stages.items())
        steps = f"{sft_steps:,} SFT steps, {rft.steps:,} RFT steps"
        return f"about {_duration(sum(stages.values()))}: {parts} ({steps})"

    def basis(self) -> list[str]:
        """What the estimate rests on, in words."""
        if self.seconds.an_rft_step is None:
            return []
        lines = [
            f"An estimate from the longest reports among the first {READ} studies, by a model that has not "
            "learnt to end one; a study further on with a longer prompt takes more time and memory. Prepare "
            "is timed on one core. Left out: the evaluation, the answers of judges, SFT's validation losses "
            "and checkpoints, the metrics of exploration."
        ]
        if not self.whole:
            lines.append(
                f"Without an accelerator at most {ON_CPU} studies of a batch were tried; time and growth of "
                "memory are scaled to the whole."
            )
        return lines

    # ---- parts -------------------------------------------------------------------------------------------

    def _ready(self) -> tuple[Pipeline, Policy]:
        assert self._pipeline is not None and self._policy is not None
        return self._pipeline, self._policy

    def _logged(self, stage: str) -> list[float]:
        rows = read_jsonl(self.folder / "run" / "metrics.jsonl")
        return [row["seconds"] for row in rows if row["stage"] == stage and "seconds" in row]

    def _batch(self, stage: Literal["sft", "rft"]) -> int:
        """Studies of a step that is tried."""
        full = self.recipe.sft.batch_size if stage == "sft" else self.recipe.rft.studies_per_step
        most = full if self.whole else ON_CPU
        if stage == "rft" and self.recipe.policy.from_noise:
            most = _TINY_GROUPS
        return min(full, len(self.read), most)

    def _scale(self, stage: Literal["sft", "rft"]) -> float:
        full = self.recipe.sft.batch_size if stage == "sft" else self.recipe.rft.studies_per_step
        return full / self._batch(stage)

    def _small(self) -> Recipe:
        """The recipe with a few studies and steps, in the temporary folder, with no judge asked."""
        recipe, longest = self.recipe, sorted(self.read, key=lambda s: -len(s.reference.text))
        sft, rft = self._batch("sft"), self._batch("rft")
        places = [*["train"] * max(sft, rft), "validate", "test", "test"]
        dealt = [
            replace(
                longest[i % len(longest)], study_id=f"s{i}", patient_id=f"p{i}", split=split, prior_study=None
            )
            for i, split in enumerate(places)
        ]
        manifest = self.folder / "few.jsonl"
        write_manifest(manifest, dealt)
        epochs = _SFT_STEPS / -(-max(sft, rft) // sft)
        changes = {
            "data": {"source": "manifest", "manifest": manifest, "triage": "rules", "any_language": True},
            "sft": {
                "batch_size": sft,
                "accumulation": 1,
                "epochs": epochs,
                "label_epochs": min(recipe.sft.label_epochs, epochs / _SFT_STEPS),
                "validate_every": _SFT_STEPS,
                "validation_studies": 1,
                "keep": "loss",  # the one study may have no label to choose by
                "checkpoint_every": _SFT_STEPS,
            },
            "exploration": {
                "strategy": "all",
                "threshold": None,
                "studies": None,
                "critical_share": None,
                "refresh_every": 0,
            },
            "reward": {"judge": "rules"},
            "rft": {"studies_per_step": rft, "steps": 1, "validation_studies": 1},
        }
        sections = {name: getattr(recipe, name).model_copy(update=knobs) for name, knobs in changes.items()}
        return recipe.model_copy(update={**sections, "out": self.folder / "run", "track": ()})


def _splits(counts: Counter[str]) -> str:
    if not counts.total():
        return "an unknown number"
    return ", ".join(f"{name} {counts[name]:,}" for name in ("train", "validate", "test"))


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever is read easily.

    >>> _duration(42), _duration(600), _duration(7200)
    ('42 s', '10 min', '2.0 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def _forget_peak() -> int:
    """Reset the measured peak where that is possible; returns the bytes held so far."""
    import torch

    from radflow.training.step_log import peak_bytes

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    return peak_bytes()


def _peak(before: int = 0, scale: float = 1.0) -> str:
    """The peak of memory and, if only part of a step was tried, an estimate for the whole."""
    import torch

    from radflow.training.step_log import peak_bytes

    held = peak_bytes()
    where = "GPU memory" if torch.cuda.is_available() else "memory"
    whole = (
        f", some {(before + (held - before) * scale) / 1e9:.1f} GB for the whole step" if scale > 1 else ""
    )
    return f"{held / 1e9:.1f} GB of {where} at most{whole}"
