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


FINDINGS: Mapping[str, Finding] = {
    "lung": lungs.lung,
    "opacity": lungs.opacity,
    "airspace disease": lungs.opacity,
    "infiltrate": lungs.opacity,
    "pneumonia": lungs.opacity,
    "density": lungs.opacity,
    "consolidation": lungs.consolidation,
    "pulmonary atelectasis": lungs.atelectasis,
    "cicatrix": pleura.scar,
    "fibrosis": lungs.interstitial,
    "markings": lungs.interstitial,
    "pulmonary fibrosis": lungs.interstitial,
    "lung diseases, interstitial": lungs.interstitial,
    "bronchiectasis": lungs.bronchiectasis,
    "cystic fibrosis": lungs.bronchiectasis,
    "bronchitis": lungs.interstitial,
    "bronchiolitis": lungs.interstitial,
    "nodule": lungs.nodules,
    "mass": lungs.mass,
    "granuloma": lungs.granulomas,
    "calcified granuloma": lungs.granulomas,
    "granulomatous disease": lungs.granulomatous_disease,
    "tuberculosis": _tuberculosis,
    "cavitation": lungs.cavity,
    "cysts": lungs.cavity,
    "blister": lungs.cavity,
    "bullous emphysema": lungs.cavity,
    "lucency": lungs.lucency,
    "lung, hyperlucent": lungs.lucency,
    "emphysema": lungs.lucency,
    "pulmonary emphysema": lungs.lucency,
    "pulmonary edema": lungs.edema,
    "heart failure": lungs.edema,
    "pleural effusion": pleura.effusion,
    "hemothorax": pleura.effusion,
    "costophrenic angle": pleura.blunted_angle,
    "sulcus": pleura.blunted_angle,
    "pleura": pleura.blunted_angle,
    "pneumothorax": pleura.pneumothorax,
    "hydropneumothorax": pleura.hydropneumothorax,
    "hemopneumothorax": pleura.hydropneumothorax,
    "thickening": pleura.thickening,
    "calcinosis": pleura.calcinosis,
    "atherosclerosis": pleura.aortic_calcium,
    "hernia, hiatal": pleura.hiatal_hernia,
    "epicardial fat": pleura.epicardial_fat,
    "heart": pleura.obscured_heart,
    "cardiac shadow": pleura.obscured_heart,
    "diaphragm": pleura.obscured_diaphragm,
    "pneumoperitoneum": pleura.free_air,
    "subcutaneous emphysema": pleura.wall_air,
    "nipple shadow": pleura.nipple,
    "mediastinum": _nodes,
    "lymph nodes": _nodes,
    "thoracic vertebrae": bones.worn_joint,
    "lumbar vertebrae": bones.worn_joint,
    "cervical vertebrae": bones.worn_joint,
    "spine": bones.worn_joint,
    "bone and bones": bones.worn_joint,
    "shoulder": bones.worn_joint,
    "humerus": bones.worn_joint,
    "arthritis": bones.worn_joint,
    "osteophyte": bones.degenerative,
    "spondylosis": bones.degenerative,
    "hyperostosis, diffuse idiopathic skeletal": bones.degenerative,
    "sclerosis": bones.sclerosis,
    "fractures, bone": bones.broken,
    "deformity": bones.broken,
    "expansile bone lesions": bones.rib_lesion,
    "implanted medical device": devices.implant,
    "medical device": devices.skin_leads,
    "catheters, indwelling": devices.catheter,
    "tube, inserted": devices.tube,
    "surgical instruments": devices.clips,
    "sutures": devices.sutures,
    "spinal fusion": devices.spinal_hardware,
    "stents": devices.stent,
    "foreign bodies": devices.foreign_body,
    "contrast media": devices.contrast_medium,
}
"""Finding -> the function that draws it."""
