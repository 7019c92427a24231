"""What reading DICOM costs beside decoding alone. Prints one JSON object.

    OMP_NUM_THREADS=1 python benchmarks/dicom.py [--repeat 9] [--folder ../shared/realdata/dicom]

``render`` is `load_dicom`; ``decode`` is pydicom's bare ``pixel_array`` of the same file; both run in turn,
and the ratio is the median of the ratios of the turns. ``made`` is a 12-bit film of 2,500 x 2,048 pixels of
noise without compression, so that hardly anything but radflow's own work is left.
``no_window`` takes the window away from the real film and asks how far two stand-ins are from it (mean
absolute difference, 0..1): percentiles, which radflow uses, and the whole range from lowest to highest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from radflow.studies.dicom import check_dicom, inspect, load_dicom
from radflow.studies.dicom.file import opened
from radflow.studies.dicom.pixels import decode, percentile_limits

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "dicom"


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(path: Path, repeat: int) -> dict[str, Any]:
    turns = []
    for _ in range(repeat + 1):  # the first warms caches and imports
        bare, whole = timed(lambda: pixel_array(path)), timed(lambda: load_dicom(path))
        turns.append((bare, whole, timed(lambda: check_dicom(path)), timed(lambda: inspect(path))))
    bare, whole, check, look = (statistics.median(column) for column in zip(*turns[1:], strict=True))
    return {
        "render_over_decode": round(statistics.median(w / b for b, w, *_ in turns[1:]), 2),
        "images_per_s": round(1 / whole, 1),
        "render_ms": round(1000 * whole, 1),
        "decode_ms": round(1000 * bare, 1),
        "check_ms": round(1000 * check, 2),
        "inspect_ms": round(1000 * look, 1),
        "pixels": list(check_dicom(path)),
    }


def made_film(folder: Path) -> Path:
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    ds.Modality, ds.PhotometricInterpretation, ds.SamplesPerPixel = "DX", "MONOCHROME1", 1
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 2500, 2048, 16, 12, 11
    ds.PixelRepresentation, ds.WindowCenter, ds.WindowWidth = 0, 2048, 3000
    ds.PixelData = np.random.default_rng(0).integers(0, 4096, (2500, 2048), dtype=np.uint16).tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / "made.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def without_window(path: Path) -> dict[str, float]:
    with opened(path) as file:
        stored, limits = decode(file).astype(float), percentile_limits(file)
    shown = load_dicom(path)
    ends = {"percentiles": limits, "lowest_to_highest": (stored.min(), stored.max())}
    return {
        name: round(float(np.abs(1 - np.clip((stored - low) / (high - low), 0, 1) - shown).mean()), 3)
        for name, (low, high) in ends.items()
    } | {"contrast_of_the_file_s_window": round(float(np.ptp(np.percentile(shown, (5, 95)))), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=REAL)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {"made": measure(made_film(Path(folder)), arguments.repeat)}
    for name in ("siim_cxr_jpegbaseline_mono2", "RG1_J2KI", "US1_J2KR", "gdcm-US-ALOKA-16"):
        path = arguments.folder / f"{name}.dcm"
        if path.is_file():
            result[name] = measure(path, arguments.repeat)
    film = arguments.folder / "RG1_J2KI.dcm"
    if film.is_file():
        result["no_window"] = without_window(film)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
