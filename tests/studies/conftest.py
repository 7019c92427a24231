"""Small images and studies, and the real files where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.reports import parse_report
from radflow.studies import Study


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """Make a study with one real little PNG under tmp_path."""

    def make(study_id: str = "s1", **fields: object) -> Study:
        image = tmp_path / "images" / f"{study_id}.png"
        image.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(len(study_id)).integers(0, 256, (12, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(image)
        known: dict[str, object] = {
            "patient_id": f"patient of {study_id}",
            "images": (image,),
            "reference": parse_report("Findings: Clear. Impression: Normal."),
        }
        return Study(study_id=study_id, **(known | fields))  # ty: ignore[invalid-argument-type]

    return make


@pytest.fixture
def iu_xray() -> Path:
    """The real Indiana University files; they may not be redistributed, so they are not in the repository."""
    folder = Path(__file__).parents[3] / "shared" / "realdata" / "iu_xray"
    if not folder.is_dir():
        pytest.skip("real IU X-Ray files (../shared/realdata/iu_xray) are not on this machine")
    return folder


@pytest.fixture
def real_dicom() -> Path:
    """Seven real DICOM files, each with a trap; not for redistribution, so they are not in the repository."""
    folder = Path(__file__).parents[3] / "shared" / "realdata" / "dicom"
    if not folder.is_dir():
        pytest.skip("real DICOM files (../shared/realdata/dicom) are not on this machine")
    return folder


@pytest.fixture
def make_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write an array as a DICOM file: ``make(pixels, "name.dcm", syntax=..., frames=..., **tags)``.

    Shape, depth and sign come from the array; every tag can be set otherwise, to make the header lie.
    """
    pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

    def make(
        pixels: np.ndarray, name: str = "a.dcm", *, syntax: str | None = None, frames: int = 0, **tags: Any
    ) -> Path:
        wanted = syntax or ExplicitVRLittleEndian
        shape = pixels.shape[1:] if frames else pixels.shape
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.Rows, ds.Columns = shape[:2]
        ds.SamplesPerPixel = 3 if len(shape) == 3 else 1
        ds.PhotometricInterpretation = "RGB" if len(shape) == 3 else "MONOCHROME2"
        if len(shape) == 3:
            ds.PlanarConfiguration = 0
        ds.BitsAllocated = ds.BitsStored = pixels.dtype.itemsize * 8
        ds.PixelRepresentation = int(pixels.dtype.kind == "i")
        if frames:
            ds.NumberOfFrames = frames
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
        ds.HighBit = tags.get("HighBit", ds.BitsStored - 1)
        order = ">" if wanted == ExplicitVRBigEndian else "<"
        stored = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        ds.add_new("PixelData", "OW" if ds.BitsAllocated > 8 else "OB", stored + bytes(len(stored) % 2))
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if wanted.is_encapsulated:
            ds.compress(wanted, generate_instance_uid=False)
        ds.file_meta.TransferSyntaxUID = wanted
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
        return path

    return make
