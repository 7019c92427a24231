"""The whole recipe, and its section ``evaluation``; the other sections have a module each.

A recipe is a sparse file over these models; see ``radflow.config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from radflow.config.data import Data
from radflow.config.policy import Policy
from radflow.config.reward import Judge, Reward
from radflow.config.section import Count, Names, Positive, Section, Trackers, split_at_commas
from radflow.config.training import Controls, Exploration, Rft, Sft

TRAINED_CONTROLS = ("sft-continued", "sft-more", "best-of-n")
"""Those that are trained, each in a stage of its own."""
Control = Literal[
    "template",
    "nearest-indication",
    "nearest-image",
    "shuffled",
    "noise",
    "sft-shuffled",
    "sft-noise",
    "sft-continued",
    "sft-more",
    "best-of-n",
]


class Evaluation(Section):
    """The evaluation on the test split."""

    studies: Count | None = None
    """Evaluate at most this many test studies, drawn at random; all when not given."""
    controls: Annotated[tuple[Control, ...], BeforeValidator(split_at_commas)] = ("template", "shuffled")
    """What stands beside SFT and RadFlow (docs/controls.md): ``template``, the most frequent report;
    ``nearest-indication`` and ``nearest-image``, that of the most similar training study; ``shuffled`` and
    ``noise``, RadFlow on other images, ``sft-shuffled`` and ``sft-noise`` likewise; and with the compute of
    RFT ``sft-continued`` on the explored studies, ``sft-more`` on all, ``best-of-n``."""
    batch_size: Count = 64
    """Reports decoded together."""
    decoding: Literal["greedy", "consensus", "own"] = "greedy"
    """The most likely tokens one by one; of several sampled reports the one that the others agree with; or as
    the model's ``generation_config.json`` says (beams, penalties, sampling), for published systems."""
    samples: Annotated[int, Field(ge=2)] = 16
    """Reports sampled per study for ``consensus``."""
    temperature: Positive = 1.0
    """Sampling temperature of ``consensus``."""
    utility: str = "labels"
    """How ``consensus`` measures agreement: ``labels``, the label F1 of two samples; ``vote``, that with the
    labels of ``vote_share`` of the samples; or a metric that needs no download. BLEU-2 decides ties."""
    vote_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of a study's samples that must assert an observation for ``vote`` to keep it."""
    resamples: Count = 1_000
    """Bootstrap resamples behind each interval."""
    metrics: Names | None = None
    """Metrics of the tables, of those of ``radflow score``; all that apply and can be computed, without
    ``consistency``, when not given."""
    judge: str | None = None
    """Who judges ``consistency``, a name as in ``reward.judge``; that one when not given."""
    chexbert: str | None = None
    """Folder of CheXbert, for CheXpert F1, SembScore and RadCliQ, as ``radflow score --chexbert``."""
    radgraph: str | None = None
    """Folder of RadGraph, for RadGraph F1 and RadCliQ."""
    bertscore: str | None = None
    """Folder of distilroberta-base with ``@5``, for BERTScore and RadCliQ."""
    cases: Annotated[int, Field(ge=0)] = 24
    """Cases shown side by side on the page."""

    @property
    def trained_controls(self) -> tuple[str, ...]:
        """Those of ``controls`` that are trained, in the order of `TRAINED_CONTROLS`."""
        return tuple(name for name in TRAINED_CONTROLS if name in self.controls)


class Recipe(Section):
    """A whole run."""

    name: str = "radflow"
    """Printed on every table and page."""
    seed: int = 0
    """Every random choice of the run follows from it."""
    out: Path = Path("runs/radflow")
    """The run's folder; everything the run writes is in it."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of torch; 0 leaves torch's own choice."""
    track: Trackers = ()
    """Experiment trackers that get the numbers of each step, and no text: ``tensorboard``, ``wandb``,
    ``mlflow``, ``trackio``."""
    data: Data = Data()
    policy: Policy = Policy()
    sft: Sft = Sft()
    exploration: Exploration = Exploration()
    reward: Reward = Reward()
    judge: Judge = Judge()
    rft: Rft = Rft()
    controls: Controls = Controls()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _manifest_is_named(self) -> Recipe:
        if self.data.source == "manifest" and self.data.manifest is None:
            raise ValueError("expected data.manifest to name a studies.jsonl when data.source is 'manifest'")
        return self

    @model_validator(mode="after")
    def _root_is_named(self) -> Recipe:
        source = self.data.source
        if source not in ("carotid-phantom", "iu-xray", "open-i", "manifest") and self.data.root is None:
            raise ValueError(f"expected data.root to name the folder of the data set {source!r}")
        return self
