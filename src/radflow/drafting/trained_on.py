"""Which model drafts, and how its training studies differ from this one: refused, or stated in words.

Nothing here imports torch, so that a mistyped folder is reported at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from radflow.config import Policy as PolicyKnobs
from radflow.config import Recipe, load_recipe
from radflow.drafting.studies import Opened
from radflow.errors import DataError, MissingFileError
from radflow.modality import MODALITIES, ModalityName
from radflow.run.named_model import model_in
from radflow.studies import Study, read_manifest
from radflow.studies.training_facts import FILE, TrainingFacts, training_facts

_UNTELLING = frozenset(["OT", "SC", "XC"])  # other, secondary capture, photograph
_USUAL = 0.5  # share of training studies with an indication, from which one is expected


def find_model(path: Path) -> tuple[Path, Recipe]:
    """The model folder behind a path, and the recipe it was made with where there is one.

    A run's folder stands for its RFT model, or its SFT model before that is done.

    Raises:
        MissingFileError: no model there.
    """
    if (folder := model_in(path)) is None:
        raise MissingFileError(
            f"{path}: expected a run's folder, or a model folder with config.json or adapter_config.json"
        )
    recipes = [p / "recipe.toml" for p in (folder, *folder.parents[:2])]
    recipe = next((r for r in recipes if r.is_file()), None)
    return folder, load_recipe(recipe) if recipe else Recipe(policy=PolicyKnobs(model=str(folder)))


def name_of(folder: Path, recipe: Recipe) -> str:
    """The model's name as a draft gives it; never a path, which may reveal more than it should.

    >>> name_of(Path("runs/iu/rft/model"), Recipe(name="IU X-ray")), name_of(Path("models/llava"), Recipe())
    ('IU X-ray (rft)', 'llava')
    """
    stage = folder.absolute().parent.name
    if folder.name == "model" and stage in ("sft", "rft"):
        return f"{recipe.name} ({stage})"
    return folder.absolute().name


def facts_of(model: Path) -> TrainingFacts | None:
    """What lies beside a model about its training; of a run that was not evaluated, what its manifest says.

    Raises:
        DataError: the file is broken.
    """
    path = model / FILE
    if path.is_file():
        try:
            return TrainingFacts.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DataError(
                f"{path}: expected what the model was trained on, got {error.errors()[0]['msg']}; "
                "`radflow evaluate` writes it again"
            ) from None
    manifest = model.absolute().parents[1] / "prepare" / "studies.jsonl"
    if model.name == "model" and manifest.is_file():
        train = [s for s in read_manifest(manifest, check_images=False).studies if s.split == "train"]
        return training_facts(train) if train else None
    return None


def checked(
    opened: Opened, facts: TrainingFacts | None, knobs: PolicyKnobs, *, said: ModalityName | None
) -> Opened:
    """Add what a reader of the draft must know because the study is unlike the training studies.

    Args:
        opened: the study to be drafted.
        facts: of the model; ``None`` where nothing is known.
        knobs: the recipe's section ``policy``: whether indications are part of the prompt.
        said: the modality, where the user or a manifest names it.

    Raises:
        DataError: the study is of another modality, or has more pictures than any study the model has seen.
    """
    if facts is None:
        return replace(opened, cautions=("Nothing is known about what the model was trained on.",))
    study, kind = opened.study, opened.kind
    modality = MODALITIES[facts.modality]
    taught = modality.pictures
    if said is not None and said != facts.modality:
        raise DataError(
            f"study {study.study_id}: it is {MODALITIES[said].pictures}, and the model was trained on "
            f"{taught}"
        )
    if kind is not None and kind.tag not in modality.dicom | _UNTELLING:
        raise DataError(
            f"study {study.study_id}: its DICOM modality is {kind.tag}, and the model was trained on {taught}"
        )
    count = len(study.images)
    if count > facts.most_images:
        raise DataError(
            f"study {study.study_id}: it has {count} pictures, and no training study of the model had more "
            f"than {facts.most_images}; name the pictures of one study (of clips, --frames takes fewer), or "
            "draft several studies with --studies"
        )
    notes = []
    if kind is not None and kind.region not in (None, modality.region):
        notes.append(f"The file says that it shows the {kind.region}; the model was trained on {taught}.")
    if facts.drawn and not study.drawn:
        notes.append("The model was trained on drawn pictures: what it says of a real one means nothing.")
    if facts.likeness is not None:
        odd = [i for i, image in enumerate(study.images, start=1) if not facts.likeness.covers(image)]
        which = "The picture looks" if count == 1 else f"Picture {', '.join(map(str, odd))} of {count} looks"
        if odd:
            notes.append(f"{which} like none that the model was trained on ({taught}).")
    if count < facts.fewest_images:
        notes.append(
            f"The study has {count} picture(s); each training study had {facts.fewest_images} or more."
        )
    new = sorted({view for view in study.views if view != "unknown"} - set(facts.views))
    if facts.views and new:
        notes.append(f"No training study had a {' or '.join(new)} view; they had {', '.join(facts.views)}.")
    return replace(opened, cautions=(*notes, *_about_indication(study, facts, knobs)))


def _about_indication(study: Study, facts: TrainingFacts, knobs: PolicyKnobs) -> tuple[str, ...]:
    asked = knobs.prompt_context and facts.indication_share > 0
    if study.indication and not asked:
        unused = "" if knobs.prompt_context else ": this one was not used"
        return (f"The model was trained without indications{unused}.",)
    if not study.indication and asked and facts.indication_share >= _USUAL:
        return (
            f"The study has no indication; {facts.indication_share:.0%} of the training studies had one in "
            "the prompt.",
        )
    return ()
