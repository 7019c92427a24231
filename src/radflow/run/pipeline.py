"""The stages of a run wired together, from studies to the page.

Each stage knows the fingerprint of everything it depends on: its part of the recipe and the stages before it.
A stage that is done with the same fingerprint is skipped; a changed knob reruns from there on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import torch

from radflow import __version__
from radflow.config import Recipe
from radflow.config.policy import FROM_NOISE, SMALL
from radflow.errors import TrainingError
from radflow.evaluation import Results, read_results
from radflow.evaluation.decoding.consensus import consensus_of
from radflow.evaluation.evaluate import evaluate_run
from radflow.files import read_jsonl
from radflow.folders import settle_folder
from radflow.policy import Policy, PromptEncoder, load_policy
from radflow.reports import parse_report
from radflow.rewards import HierarchicalReward, label_prevalence, prediction_counts, reward_of
from radflow.rewards.domain import trained_on
from radflow.run.base_model import base_model
from radflow.run.generating import generate_reports, read_predictions, trained_stages
from radflow.run.headroom import FILE, some, write_headroom
from radflow.run.headroom import STAGE as HEADROOM
from radflow.run.inputs import own_inputs
from radflow.run.judges import Judges
from radflow.run.model_card import write_cards
from radflow.run.processes import make_accelerator
from radflow.run.studies import prepare_studies, read_splits
from radflow.run.tracking import Trackers
from radflow.studies import Study
from radflow.training.controls import run_control
from radflow.training.exploration import (
    exploration_warnings,
    read_picked,
    run_exploration,
    run_prediction,
)
from radflow.training.label_tokens import check_evidence
from radflow.training.rft import run_rft
from radflow.training.sft import run_sft, sft_warnings
from radflow.training.trained_parts import choose_trained, set_trained
from radflow.viewer import write_page
from radflow.workspace import Workspace, fingerprint

STAGES = ("prepare", "sft", "predict", "exploration", "rft", "generate", "evaluation")
"""Of every run; `Pipeline.stages` has the trained controls of a recipe too."""
_BESIDE = ("README.md", "recipe.toml", "training.json")
ALSO = {
    "evaluation": (
        "results.json",
        "report.html",
        *(f"sft/model/{name}" for name in _BESIDE),
        *(f"rft/model/{name}" for name in _BESIDE),
    )
}
"""What a stage writes outside of its folder."""


class Pipeline:
    """All stages of one run, in one folder.

    Args:
        recipe: what to do.
        echo: called with every line of the log.
    """

    def __init__(self, recipe: Recipe, *, echo: Callable[[str], None] | None = None) -> None:
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        self.recipe = recipe
        self._encoder: PromptEncoder | None = None
        self.accelerator = make_accelerator(recipe)
        self.workspace = Workspace(
            recipe.out,
            recipe,
            echo=echo if self.accelerator.is_main_process else None,
            writes=self.accelerator.is_main_process,
            on_log=Trackers(self.accelerator, recipe, say=lambda line: self.workspace.say(line)),
        )
        self.accelerator.wait_for_everyone()
        self.controls = trained_stages(recipe)
        self._judges = Judges(recipe, self.workspace)

    # ---- what the stages share ---------------------------------------------------------------------------

    @cached_property
    def studies(self) -> dict[str, list[Study]]:
        """The studies of each split, each annotated critical or not."""
        return read_splits(self.workspace.path("prepare", "studies.jsonl"))

    @property
    def modality(self) -> str:
        """Of all studies of the run."""
        return self.studies["train"][0].modality

    @cached_property
    def reward(self) -> HierarchicalReward:
        """The hierarchical reward of the recipe, with what it has to know of the training split."""
        knobs, train = self.recipe.reward, self.studies["train"]
        prevalence = counts = None
        if knobs.labels == "f_beta":
            prevalence = label_prevalence([study.reference for study in train], self.modality)
        elif knobs.labels == "marginal":
            rows = list(read_jsonl(self.workspace.path("exploration", "scores.jsonl")))
            references = {study.study_id: study.reference for study in train}
            counts = prediction_counts(
                [parse_report(row["prediction"]) for row in rows],
                [references[row["study_id"]] for row in rows],
                self.modality,
            )
        return reward_of(
            knobs,
            self.modality,
            judge=self._judges.of(knobs.judge),
            prevalence=prevalence,
            counts=counts,
        )

    @property
    def stages(self) -> tuple[str, ...]:
        """Of this run, in order: `STAGES`, with its trained controls after RFT."""
        place = STAGES.index("generate")
        return (*STAGES[:place], *self.controls.values(), *STAGES[place:])

    def _before(self, stage: str) -> list[str]:
        """The stages that one builds on: all before it, but a control on no other control."""
        before = self.stages[: self.stages.index(stage)]
        controls = set(self.controls.values())
        return [name for name in before if stage not in controls or name not in controls]

    def _inputs(self, stage: str) -> str:
        """Fingerprint of everything a stage depends on: the recipe, and what the stages before it left."""
        own = own_inputs(self.recipe, self.controls.values())
        before = self._before(stage)
        left = [self.workspace.outcome(name) for name in before]
        return fingerprint([__version__, self.recipe.seed, *[own[n] for n in (*before, stage)], left])

    def _stage(self, name: str, work: Callable[[], None], inputs: str | None = None) -> None:
        """Run a stage unless it is done with the same inputs: those of `_inputs`, or others."""
        inputs = inputs or self._inputs(name)
        done = self.workspace.done(name, inputs)
        self.accelerator.wait_for_everyone()
        if done:
            self.workspace.say(f"{name}: done already, inputs unchanged")
            return
        self.workspace.begin(name, inputs)
        self.accelerator.wait_for_everyone()
        begun = time.perf_counter()
        with self._judges.accounted(name):
            work()
        self.accelerator.wait_for_everyone()
        self.workspace.finish(name, inputs, time.perf_counter() - begun, also=ALSO.get(name, ()))
        self.accelerator.wait_for_everyone()  # the next stage looks for the marker

    def _ready_for(self, stage: str) -> None:
        """Raise unless what a stage builds on is done with this recipe, and nothing is damaged."""
        for name in reversed(self._before(stage)):
            if not self.workspace.done(name, self._inputs(name)):
                damage = [f"{path} is {why}" for path, why in self.workspace.damage(name).items()]
                raise TrainingError(
                    f"{self.workspace.root}: "
                    + (f"{damage[0]}, so " if damage else "")
                    + f"the stage '{name}' is not done with this recipe; run it first, or `radflow run` for "
                    "all stages"
                )

    # ---- the stages --------------------------------------------------------------------------------------

    def run(self) -> Results | None:
        """All stages, in order; returns what the run measured."""
        self.prepare()
        self.sft()
        self.explore()
        self.rft()
        self.train_controls()
        self.generate()
        return self.evaluate()

    def prepare(self) -> None:
        """Studies, from the data set or the manifest of the recipe, each with its criticality."""

        def work() -> None:
            if self.accelerator.is_main_process:
                prepare_studies(self.workspace, self.recipe, self._judges.of(self.recipe.data.triage))

        self._stage("prepare", work)
        for metric in filter(None, (self.recipe.reward.domain_metric, self.recipe.reward.impression_metric)):
            trained_on(metric, self.modality)  # now, and not hours later at RFT
        if self.recipe.rft.label_tokens:
            check_evidence(self.modality)
        consensus_of(self.recipe.evaluation, self.modality)

    def sft(self) -> None:
        """Supervised fine-tuning."""
        self._ready_for("sft")

        def work() -> None:
            policy, trained = self.untrained()
            run_sft(
                self.workspace,
                self.recipe,
                policy,
                train=self.studies["train"],
                validate=self.studies["validate"],
                accelerator=self.accelerator,
                trained=trained,
            )

        self._stage("sft", work)

    def predict(self) -> None:
        """Target Exploration's first and longest step: reports of the training split by the SFT model."""
        self._ready_for("predict")

        def work() -> None:
            policy, train = self._finished("sft"), self.studies["train"]
            run_prediction(self.workspace, self.recipe, policy, train, self.accelerator)

        self._stage("predict", work)

    def explore(self) -> None:
        """Target Exploration: `predict` unless that is done, score its reports, and pick."""
        self.predict()

        def work() -> None:
            run_exploration(self.workspace, self.recipe, self.studies["train"], self.accelerator)

        self._stage("exploration", work)

    def rft(self) -> None:
        """Reinforcement fine-tuning with CAPO."""
        self._ready_for("rft")

        def work() -> None:
            run_rft(
                self.workspace,
                self.recipe,
                self._tunable(),
                studies=self._explored(),
                candidates=self.studies["train"],
                held_out=self.studies["validate"],
                reward=self.reward,
                accelerator=self.accelerator,
                merge=self._sft_left_whole(),
            )

        self._stage("rft", work)

    def train_controls(self) -> None:
        """The trained controls that the recipe names, each with RFT's compute and in a stage of its own."""

        def work(name: str) -> None:
            run_control(
                name,
                self.workspace,
                self.recipe,
                self._tunable(),
                train=self.studies["train"],
                explored=self._explored(),
                held_out=self.studies["validate"],
                reward=self.reward,
                accelerator=self.accelerator,
                merge=self._sft_left_whole(),
            )

        for name, stage in self.controls.items():
            self._ready_for(stage)
            self._stage(stage, partial(work, name))

    def generate(self) -> None:
        """Reports of every system and control for the test studies."""
        self._ready_for("generate")

        def work() -> None:
            if not self.accelerator.is_main_process:
                return
            generate_reports(
                self.workspace,
                self.recipe,
                train=self.studies["train"],
                test=self.test_studies(),
                finished=self._finished,
            )

        self._stage("generate", work)

    def evaluate(self) -> Results | None:
        """Score everything, write ``results.json``, the page and the model cards."""
        self._ready_for("evaluation")

        def work() -> None:
            if not self.accelerator.is_main_process:
                return
            evaluate_run(
                self.workspace,
                self.recipe.evaluation,
                self.test_studies(),
                read_predictions(self.workspace, self.recipe),
                self.reward,
                judge=self._judges.of(self.recipe.evaluation.judge or self.recipe.reward.judge),
                warnings=[
                    *sft_warnings(self.workspace.path("sft")),
                    *exploration_warnings(self.workspace.path("exploration")),
                    *self._judges.warnings(),
                ],
            )
            write_page(self.workspace.root)
            write_cards(self.workspace.root)

        self._stage("evaluation", work)
        if not self.accelerator.is_main_process:
            return None
        return read_results(self.workspace.path("results.json"))

    def headroom(
        self, *, samples: int | None = None, studies: int | None = None, split: str = "validate"
    ) -> Path:
        """What the samples of the SFT policy, and of RFT's where it is done, hold beside the greedy reports.

        Args:
            samples: per study; ``evaluation.samples`` when not given.
            studies: at most this many, drawn at random; all when not given.
            split: of the run.

        Returns:
            the file with all figures.

        Raises:
            TrainingError: SFT is not done with this recipe.
            DataError: the split has no studies.
        """
        self._ready_for("predict")
        stages = ["sft", *(["rft"] if self.workspace.done("rft", self._inputs("rft")) else [])]
        knobs = self.recipe.evaluation
        samples = samples or knobs.samples
        chosen = some(self.studies[split], studies, self.workspace.seed(HEADROOM, "sample"))
        left = [self._inputs("rft"), *(self.workspace.outcome(stage) for stage in stages)]
        inputs = fingerprint([left, samples, len(chosen), split, knobs.temperature, knobs.resamples])

        def work() -> None:
            if self.accelerator.is_main_process:
                policies = {stage: partial(self._finished, stage) for stage in stages}
                write_headroom(self.workspace, policies, chosen, self.reward, samples=samples, split=split)

        self._stage(HEADROOM, work, inputs)
        return self.workspace.path(HEADROOM, FILE)

    # ---- parts of stages ---------------------------------------------------------------------------------

    def test_studies(self) -> list[Study]:
        """The test studies that are scored."""
        seed = self.workspace.seed("evaluation", "sample")
        return some(self.studies["test"], self.recipe.evaluation.studies, seed)

    def untrained(self) -> tuple[Policy, str]:
        """The policy that SFT starts from, and what of it trains, in words."""
        torch.manual_seed(self.workspace.seed("sft", "adapter"))
        source = self.recipe.policy.model
        if source in (*FROM_NOISE, SMALL):
            train = self.studies["train"]
            source = str(base_model(self.workspace, self.recipe, train, self.accelerator))
        trained = choose_trained(self.recipe, source)
        policy = self._load(source, "fresh" if trained.language == "lora" else "none")
        set_trained(policy.model, trained)
        said = trained.in_words(self.recipe.policy)
        self.workspace.say(f"sft: trains {said}")
        return policy, said

    def _load(self, source: Path | str, adapter: str) -> Policy:
        if isinstance(source, Path):
            settle_folder(source)
        policy = load_policy(
            source,
            self.recipe.policy,
            adapter=adapter,
            device=self.accelerator.device,
            encoder=self._encoder,  # all stages share one: their policies have the same processor
            features=self.workspace.path("features"),
        )
        self._encoder = policy.encoder
        return policy

    def _tunable(self) -> Policy:
        """The SFT model with the adapter that RFT trains, and each trained control."""
        torch.manual_seed(self.workspace.seed("rft", "adapter"))
        return self._load(self.workspace.path("sft", "model"), "continue")

    def _explored(self) -> list[Study]:
        """The studies that Target Exploration kept, in its order."""
        by_id = {study.study_id: study for study in self.studies["train"]}
        return [by_id[i] for i in read_picked(self.workspace.path("exploration"))]

    def _finished(self, stage: str) -> Policy:
        """The policy that a stage left behind, to be used and not trained."""
        policy = self._load(self.workspace.path(stage, "model"), "none")
        policy.model.requires_grad_(False)
        return policy

    def _sft_left_whole(self) -> bool:
        """Whether SFT left a whole model; then what starts from it leaves one too."""
        return not (self.workspace.path("sft", "model") / "adapter_config.json").is_file()
