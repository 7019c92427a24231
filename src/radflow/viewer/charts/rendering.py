"""An SVG figure as PDF or PNG for a paper, by Typst.

Text stays text: it can be searched and copied, and its font is in the PDF. The font is Source Sans Pro, from
a package and not from the machine, so the same figure gives the same bytes everywhere. It has Latin, Greek
and Cyrillic letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radflow.errors import DataError, MissingDependencyError

FORMATS: tuple[Literal["pdf", "png"], ...] = ("pdf", "png")

_DPI = 300
_PDF = "1.4"
"""Every LaTeX takes it; of later ones pdfTeX warns."""
_SOURCE = b"""
#set document(title: sys.inputs.title, date: none)
#set page(width: auto, height: auto, margin: 0pt)
#image(bytes(sys.inputs.figure), format: "svg", width: 180mm, alt: sys.inputs.title)
"""
"""180 mm is the width of a page's text in most two-column journals."""


class Renderer:
    """Draws figures in some formats, 180 mm wide; PNG has 300 dots per inch.

    Raises:
        DataError: no such format.
        MissingDependencyError: the extra ``figures`` is not installed.
    """

    def __init__(self, formats: Sequence[str]) -> None:
        if unknown := next((kind for kind in formats if kind not in FORMATS), None):
            raise DataError(f"--figure-format: expected pdf or png, got {unknown!r}")
        self._formats = [kind for kind in FORMATS if kind in formats]
        try:
            import font_source_sans_pro
            import typst
        except ImportError as error:
            raise MissingDependencyError(
                f"figures as PDF or PNG need {error.name}: pip install 'radflow[figures]'"
            ) from None
        fonts = typst.Fonts(include_system_fonts=False, font_paths=[font_source_sans_pro.font_directory])
        self._compiler = typst.Compiler(font_paths=fonts)

    def __call__(self, figure: str, title: str) -> Iterator[tuple[str, bytes]]:
        """Yield each format with the content of its file.

        Args:
            figure: an SVG document.
            title: of the PDF, and read out in place of the figure.
        """
        inputs = {"figure": figure, "title": title}
        for kind in self._formats:
            drawn = self._compiler.compile(
                _SOURCE, format=kind, ppi=_DPI, sys_inputs=inputs, pdf_standards=_PDF
            )
            assert isinstance(drawn, bytes)  # one page
            yield kind, drawn
