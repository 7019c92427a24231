"""Studies: the type, manifests, patient-wise splits, images to pixels, data sets and phantoms."""

from radflow.studies.images import load_image, to_pil
from radflow.studies.manifest import Manifest, read_manifest, write_manifest
from radflow.studies.splits import assign_split
from radflow.studies.study import Study

__all__ = [
    "Manifest",
    "Study",
    "assign_split",
    "load_image",
    "read_manifest",
    "to_pil",
    "write_manifest",
]
