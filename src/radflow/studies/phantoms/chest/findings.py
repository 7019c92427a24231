"""The table of findings that are drawn onto a finished anatomy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from radflow.studies.phantoms.chest import bones, devices, lungs, pleura
from radflow.studies.phantoms.chest.build import Build
from radflow.studies.phantoms.chest.film import Film
from radflow.studies.phantoms.chest.tags import Tag

Finding = Callable[[Film, Build, Tag, np.random.Generator], bool]


def add_finding(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Draw a tag onto the film and return whether it could be drawn."""
    rule = FINDINGS.get(tag.finding)
    return bool(rule and rule(film, build, tag, rng))


def _tuberculosis(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    apical = Tag(text=tag.text, finding=tag.finding, sites=("lung", "apex"), side="bilateral")
    return lungs.bands(film, build, apical, rng) and lungs.granulomatous_disease(film, build, tag, rng)


def _nodes(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Enlarged nodes or a full paratracheal stripe: an opacity beside the mediastinum."""
    if not (tag.has("enlarged", "prominent") and (tag.at("paratracheal") or "lymph nodes" in tag.finding)):
        return False
    beside = Tag(text=tag.text, finding=tag.finding, sites=("paratracheal",), side=tag.side or "right")
    return lungs.mass(film, build, beside, rng)


_DRAWN_BY: Mapping[Finding, tuple[str, ...]] = {
    lungs.lung: ("lung",),
    lungs.opacity: ("opacity", "airspace disease", "infiltrate", "pneumonia", "density"),
    lungs.consolidation: ("consolidation",),
    lungs.atelectasis: ("pulmonary atelectasis",),
    pleura.scar: ("cicatrix",),
    lungs.interstitial: (
        *("fibrosis", "markings", "pulmonary fibrosis"),
        *("lung diseases, interstitial", "bronchitis", "bronchiolitis"),
    ),
    lungs.bronchiectasis: ("bronchiectasis", "cystic fibrosis"),
    lungs.nodules: ("nodule",),
    lungs.mass: ("mass",),
    lungs.granulomas: ("granuloma", "calcified granuloma"),
    lungs.granulomatous_disease: ("granulomatous disease",),
    _tuberculosis: ("tuberculosis",),
    lungs.cavity: ("cavitation", "cysts", "blister", "bullous emphysema"),
    lungs.lucency: ("lucency", "lung, hyperlucent", "emphysema", "pulmonary emphysema"),
    lungs.edema: ("pulmonary edema", "heart failure"),
    pleura.effusion: ("pleural effusion", "hemothorax"),
    pleura.blunted_angle: ("costophrenic angle", "sulcus", "pleura"),
    pleura.pneumothorax: ("pneumothorax",),
    pleura.hydropneumothorax: ("hydropneumothorax", "hemopneumothorax"),
    pleura.thickening: ("thickening",),
    pleura.calcinosis: ("calcinosis",),
    pleura.aortic_calcium: ("atherosclerosis",),
    pleura.hiatal_hernia: ("hernia, hiatal",),
    pleura.epicardial_fat: ("epicardial fat",),
    pleura.obscured_heart: ("heart", "cardiac shadow"),
    pleura.obscured_diaphragm: ("diaphragm",),
    pleura.free_air: ("pneumoperitoneum",),
    pleura.wall_air: ("subcutaneous emphysema",),
    pleura.nipple: ("nipple shadow",),
    _nodes: ("mediastinum", "lymph nodes"),
    bones.worn_joint: (
        *("thoracic vertebrae", "lumbar vertebrae", "cervical vertebrae", "spine"),
        *("bone and bones", "shoulder", "humerus", "arthritis"),
    ),
    bones.degenerative: ("osteophyte", "spondylosis", "hyperostosis, diffuse idiopathic skeletal"),
    bones.sclerosis: ("sclerosis",),
    bones.broken: ("fractures, bone", "deformity"),
    bones.rib_lesion: ("expansile bone lesions",),
    devices.implant: ("implanted medical device",),
    devices.skin_leads: ("medical device",),
    devices.catheter: ("catheters, indwelling",),
    devices.tube: ("tube, inserted",),
    devices.clips: ("surgical instruments",),
    devices.sutures: ("sutures",),
    devices.spinal_hardware: ("spinal fusion",),
    devices.stent: ("stents",),
    devices.foreign_body: ("foreign bodies",),
    devices.contrast_medium: ("contrast media",),
}
FINDINGS: Mapping[str, Finding] = {name: draw for draw, names in _DRAWN_BY.items() for name in names}
"""Finding -> the function that draws it."""
