"""The compared systems by name: what each is, what trains it here, what reads its published weights."""

from __future__ import annotations

from dataclasses import dataclass

from radflow.errors import RecipeError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class System:
    """A compared system.

    Attributes:
        what: it is, in a sentence.
        row: of the paper's tables.
        licence: of what its authors published, as far as it was found; nothing of theirs is in radflow.
        run: how to get its reports here, in words.
        checkpoint: the published files that ``convert`` takes, in words.
        build: ``"module:function"`` of a small one that starts from noise, for ``policy.model`` to name. It
            is called as ``build(knobs, folder, texts=..., images=..., seed=...)``: the section ``policy`` of
            a recipe, where to write the model and its processor, prompts and reports of the training split,
            some of its pictures, the seed of the weights. Its name stands in
            `radflow.config.policy.FROM_NOISE` too.
        convert: ``"module:function"`` that writes published files as a folder for ``policy.model``; called as
            ``convert(sources, folder)``. It returns what it did not take over, a line each.
    """

    what: str
    row: str
    licence: str
    run: str = ""
    checkpoint: str = ""
    build: str | None = None
    convert: str | None = None


_NOTHING = "nothing was published; radflow's own"

BASELINES: dict[str, System] = {
    "template": System(
        what="the most frequent training report, written for every study",
        row="none; a floor under all of them",
        licence=_NOTHING,
        run="evaluation.controls = template; radflow score",
    ),
    "nearest-indication": System(
        what="the training report of the study with the most similar indication",
        row="none; a floor under all of them",
        licence=_NOTHING,
        run="evaluation.controls = nearest-indication; radflow score",
    ),
    "nearest-image": System(
        what="the training report of the study whose images look most alike to the tower",
        row="none; a floor under all of them",
        licence=_NOTHING,
        run="evaluation.controls = nearest-image",
    ),
    "r2gen": System(
        what="a Transformer whose decoder is steered by a relational memory (Chen et al. 2020)",
        row="none; what R2GenGPT and most of the field are measured against",
        licence="the authors' repository names none; nothing of theirs is in radflow",
        build="radflow.baselines.r2gen.build:build_r2gen",
    ),
    "r2gengpt": System(
        what="a Swin whose patches, averaged over a study's views, a linear layer shows to a frozen Llama 2",
        row="R2GenGPT",
        licence="BSD-3",
        checkpoint="CHECKPOINT.pth SWIN LLAMA, or SWIN LLAMA to begin as its authors do",
        build="radflow.baselines.r2gengpt:build",
        convert="radflow.baselines.r2gengpt:convert",
    ),
    "radfm": System(
        what="a ViT over volumes, a resampler to 32 visual tokens, and LLaMA-13B",
        row="RadFM",
        licence="none found",
        checkpoint="PYTORCH_MODEL.BIN LLAMA",
        build="radflow.baselines.radfm:build",
        convert="radflow.baselines.radfm:convert",
    ),
    "medversa": System(
        what="a Swin averaged to 9 visual tokens per film, and Llama 2 with LoRA; of it what writes reports",
        row="MedVersa",
        licence="Harvard's, for research that is not commercial",
        checkpoint="MEDVERSA LLAMA",
        build="radflow.baselines.medversa:build",
        convert="radflow.baselines.medversa:convert",
    ),
    "chexpert-plus": System(
        what="one encoder-decoder per section, Swinv2 and a two-layer BERT (Chambon et al. 2024)",
        row="CheXpertPlus",
        licence="none found with the weights; their data's terms are Stanford AIMI's research licence",
        checkpoint="the folder of IAMJB/...-findings-baseline, then that of IAMJB/...-impression-baseline",
        build="radflow.baselines.chexpert_plus.folders:build_chexpert_plus",
        convert="radflow.baselines.chexpert_plus.folders:convert_chexpert_plus",
    ),
    "contract": System(
        what="any other system, through ReXrank's inference.py, in its own environment",
        row="any",
        licence="the system's own; none of its code is imported",
        run="radflow baselines run STUDIES --contract 'PYTHON inference.py' --out FILE.json",
    ),
}
"""Name to what is known of it. Nothing registers itself."""


def system(name: str) -> System:
    """A compared system by its name.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in BASELINES:
        raise RecipeError(
            f"expected a baseline among {', '.join(BASELINES)}, got {name!r}.{did_you_mean(name, BASELINES)}"
        )
    return BASELINES[name]
