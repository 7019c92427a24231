"""Which DICOM tags radflow reads, which it must never repeat, and the few words that it makes of them.

What leaves these modules are words from the closed lists below and numbers; no text of a file is passed on.
So a name typed into "Series Description" cannot reach a manifest, a page or a log.
"""

from __future__ import annotations

from collections.abc import Sequence

MODALITIES = frozenset(
    (
        *("CR", "DX", "RG", "MG", "IO", "PX", "RF", "XA", "US", "IVUS", "CT", "MR", "PT"),
        *("NM", "ES", "GM", "OP", "OPT", "OCT", "SM", "XC", "BI", "BMD", "SC", "OT"),
    )
)
FILMS = frozenset(("CR", "DX", "RG", "RF"))  # projection radiographs of a patient who faces the reader
VOLUMES = frozenset(("CT", "MR", "PT"))  # one file per slice

PHOTOMETRIC = frozenset(
    ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
)

# All that is parsed of a file; the reader skips everything else, names and dates included.
READ = (
    *("ImageType", "SOPClassUID", "Modality", "SeriesDescription", "StudyDescription", "ProtocolName"),
    *("BodyPartExamined", "ViewPosition", "ViewCodeSequence", "Laterality", "ImageLaterality"),
    *("PatientOrientation", "ImageOrientationPatient", "ImagePositionPatient", "SeriesInstanceUID"),
    *("SeriesNumber", "InstanceNumber", "NumberOfFrames", "BurnedInAnnotation", "PresentationIntentType"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "RescaleSlope"),
    *("RescaleIntercept", "RescaleType", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PresentationLUTShape", "LossyImageCompression"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)

# The order decides: "CHEST ABDOMEN PELVIS" is windowed as soft tissue, "CERVICAL SPINE" as bone.
_REGIONS = {
    "abdomen": ("abdom", "pelvi", "liver", "kidney", "renal", "pancrea", "bladder", "prostate"),
    "bone": (
        *("spine", "extremity", "knee", "hip", "shoulder", "hand"),
        *("foot", "wrist", "ankle", "bone", "femur"),
    ),
    "head": ("head", "brain", "skull", "cranial", "orbit"),
    "chest": ("chest", "thorax", "lung", "rib", "pulmon", "heart", "cardi"),
}


def region_of(texts: Sequence[str]) -> str | None:
    """``"chest"``, ``"head"``, ``"abdomen"`` or ``"bone"`` by the first text that names one.

    >>> region_of(["", "CT Chest w/o contrast"]), region_of(["KNEE"]), region_of(["Smith"])
    ('chest', 'bone', None)
    """
    for text in texts:
        lowered = text.lower()
        for region, words in _REGIONS.items():
            if any(word in lowered for word in words):
                return region
    return None
