"""The reports of every system and control for the test studies: what the stage ``generate`` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from radflow.baselines import most_frequent_report
from radflow.config import Recipe
from radflow.evaluation.controls import (
    OTHER_IMAGES,
    RADFLOW,
    SFT,
    TEMPLATE,
    noise_images,
    shuffle_images,
)
from radflow.evaluation.decoding.consensus import consensus_of
from radflow.files import read_jsonl
from radflow.folders import is_piece, write_piece
from radflow.policy import Policy, greedy_texts, own_reports
from radflow.run.nearest import NEAREST, nearest_reports
from radflow.run.sampled import sampled_reports
from radflow.studies import Study
from radflow.training.controls import folder_of
from radflow.workspace import Workspace, derive_seed


def trained_stages(recipe: Recipe) -> dict[str, str]:
    """The trained controls of a recipe, each with the stage that trains it.

    >>> trained_stages(Recipe())
    {}
    """
    return {name: folder_of(name) for name in recipe.evaluation.trained_controls}


def systems_of(recipe: Recipe) -> list[str]:
    """All systems and controls of a recipe whose reports are scored, by the names of their files.

    >>> systems_of(Recipe())
    ['template', 'sft', 'radflow', 'radflow-shuffled']
    """
    named = recipe.evaluation.controls
    first = [name for name in (TEMPLATE, *NEAREST) if name in named]
    others = [system for control, (_, system) in OTHER_IMAGES.items() if control in named]
    return [*first, SFT, *trained_stages(recipe), RADFLOW, *others]


def generate_reports(
    workspace: Workspace,
    recipe: Recipe,
    *,
    train: Sequence[Study],
    test: Sequence[Study],
    finished: Callable[[str], Policy],
) -> None:
    """Write ``generate/<system>.jsonl`` of `systems_of`; what an earlier try finished is left.

    The samples of ``evaluation.decoding = "consensus"`` are in ``generate/samples/<system>/``.

    Args:
        workspace: the run's folder.
        recipe: the sections ``evaluation`` and ``policy``.
        train: studies whose most frequent report is the template, and whose nearest is that of a control.
        test: studies to write reports for.
        finished: the policy that a stage left.
    """
    stages = {SFT: "sft", RADFLOW: "rft", **trained_stages(recipe)}
    whose = {system: (owner, control) for control, (owner, system) in OTHER_IMAGES.items()}
    for system in systems_of(recipe):
        path = workspace.path("generate", f"{system}.jsonl")
        if is_piece(path):
            continue
        if system == TEMPLATE:
            texts = [most_frequent_report([s.reference.canonical for s in train])] * len(test)
        elif system in NEAREST:
            texts = nearest_reports(system, train, test, partial(finished, stages[SFT]))
        else:
            owner, control = whose.get(system, (system, None))
            policy = finished(stages[owner])
            studies = test if control is None else _with_other_images(workspace, test, control)
            texts = _written(workspace, recipe, policy, studies, system)
        write_piece(path, ({"study_id": s.study_id, "text": t} for s, t in zip(test, texts, strict=True)))


def _written(
    workspace: Workspace, recipe: Recipe, policy: Policy, studies: Sequence[Study], system: str
) -> list[str]:
    """A report for each study: greedy, the model's own, or the consensus of samples, which are kept."""
    knobs, what = recipe.evaluation, f"Reports of {system}"
    choose = consensus_of(knobs, studies[0].modality)
    if choose is None:
        texts = (_own_texts if knobs.decoding == "own" else greedy_texts)(policy, recipe, studies)
        with workspace.track(what, len(studies)) as advance:
            return [_ticked(t, advance) for t in texts]
    folder = workspace.path("generate", "samples", system)
    drawn = sampled_reports(
        workspace,
        policy,
        studies,
        folder,
        samples=knobs.samples,
        temperature=knobs.temperature,
        what=what,
    )
    return [group[place] for group, place in zip(drawn, choose(drawn), strict=True)]


def _own_texts(policy: Policy, recipe: Recipe, studies: Sequence[Study]) -> Iterator[str]:
    """One report per study as the model's generation configuration has it, from a seed of the run."""
    seeds = [derive_seed(recipe.seed, "generate", study.study_id) % 2**63 for study in studies]
    most, size = recipe.policy.max_new_tokens, recipe.evaluation.batch_size
    written = own_reports(policy, studies, max_new_tokens=most, seeds=seeds, batch_size=size)
    return (completion.text for _, completion in written)


def read_predictions(workspace: Workspace, recipe: Recipe) -> dict[str, list[str]]:
    """The reports of `systems_of` that `generate_reports` wrote, one per test study."""
    return {
        system: [row["text"] for row in read_jsonl(workspace.path("generate", f"{system}.jsonl"))]
        for system in systems_of(recipe)
    }


def _with_other_images(workspace: Workspace, studies: Sequence[Study], control: str) -> list[Study]:
    """The studies with the images that a control of `OTHER_IMAGES` gives them."""
    if control.endswith("noise"):
        folder, seed = workspace.path("generate", "noise"), workspace.seed("generate", "noise")
        return noise_images(studies, folder, seed)
    return shuffle_images(studies, workspace.seed("generate", "shuffle") % 2**32)


def _ticked(text: str, advance: Callable[[int], None]) -> str:
    advance(1)
    return text
