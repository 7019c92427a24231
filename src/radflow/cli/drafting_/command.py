"""``radflow draft``: the pictures of one study to one report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from radflow.cli.scoring import print_json
from radflow.config import Policy as PolicyKnobs
from radflow.config import Recipe, load_recipe
from radflow.errors import MissingFileError
from radflow.judges import load as load_judge
from radflow.policy import PromptEncoder, greedy_reports, load_policy
from radflow.readers import load as load_reader
from radflow.reports import Report, parse_report
from radflow.studies import Study
from radflow.studies.images import check_image

NOTICE = "Draft written by a model. Not for diagnosis."


def draft_command(
    screen: Console, images: list[Path], model: Path, indication: str | None, as_json: bool
) -> None:
    """Load the model, write one report, print it with the verdict of the rule judge and the critical flag."""
    for path in images:
        check_image(path)
    folder, knobs = find_model(model)
    policy = load_policy(folder, knobs.policy)
    encoder = PromptEncoder(
        policy,
        instruction=knobs.policy.prompt,
        context=knobs.policy.prompt_context,
        max_tokens=knobs.policy.max_prompt_tokens,
    )
    study = Study(
        study_id="draft",
        patient_id="draft",
        images=tuple(path.absolute() for path in images),
        reference=Report(text="", findings=None, impression=None),
        indication=indication,
    )
    [(_, completion)] = greedy_reports(policy, encoder, [study], max_new_tokens=knobs.policy.max_new_tokens)
    report = parse_report(completion.text)
    consistent = None
    if report.findings is not None and report.impression is not None:
        consistent = load_judge("rules")([(report.findings, report.impression)])[0]
    critical = load_reader("criticality-rules")([report])[0]
    if as_json:
        record = {
            "findings": report.findings,
            "impression": report.impression,
            "text": completion.text,
            "consistent": consistent,
            "critical": critical,
            "finished": completion.finished,
            "notice": NOTICE,
        }
        return print_json(screen, record)
    screen.print(f"[bold]Findings[/]    {report.findings or completion.text}", markup=True)
    screen.print(f"[bold]Impression[/]  {report.impression or 'none'}", markup=True)
    verdict = {True: "follows from", False: "does not follow from", None: "could not be compared with"}
    screen.print(
        f"\nThe impression {verdict[consistent]} the findings (rules). "
        f"{'Critical' if critical else 'Nothing critical'} (rules)."
    )
    return screen.print(f"[yellow]{NOTICE}[/]")


def find_model(path: Path) -> tuple[Path, Recipe]:
    """The model folder behind a path, and the recipe it was made with where there is one.

    A run's folder stands for its RFT model, or its SFT model before that is done.

    Raises:
        MissingFileError: no model there.
    """
    for folder in (path, path / "rft" / "model", path / "sft" / "model"):
        if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
            recipes = [p / "recipe.toml" for p in (folder, *folder.parents[:2])]
            recipe = next((r for r in recipes if r.is_file()), None)
            return folder, load_recipe(recipe) if recipe else Recipe(policy=PolicyKnobs(model=str(folder)))
    raise MissingFileError(
        f"{path}: expected a run's folder, or a model folder with config.json or adapter_config.json"
    )
