import re
import sys

import pytest

from radflow.errors import DataError, MissingDependencyError
from radflow.viewer.cases import blocks
from radflow.viewer.charts.rendering import Renderer
from radflow.viewer.charts.side_by_side import LOOKS, Column, side_by_side
from radflow.viewer.pictures import Picture

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def figure() -> str:
    pictures = [("right", Picture(uri=f"data:image/png;base64,{PIXEL}", width=1, height=1))]
    signs = "".join(look.sign for look in LOOKS.values())
    return side_by_side("Study 1", pictures, [Column(heading="Reference", blocks=blocks(f"Normal. {signs}"))])


def test_a_pdf_has_its_fonts_and_picture_and_no_date(figure: str) -> None:
    pytest.importorskip("typst", reason="typst is not installed (the extra 'figures')")
    first, second = (dict(Renderer(["pdf"])(figure, "Study 1"))["pdf"] for _ in "12")
    assert first == second
    assert first.startswith(b"%PDF-1.4")
    assert set(re.findall(rb"/FontName/[A-Z]{6}\+([\w-]+)", first)) == {
        b"SourceSansPro-Regular",
        b"SourceSansPro-Bold",
    }  # no fallback for any sign
    assert b"/Subtype/Image" in first
    assert b"CreationDate" not in first


def test_a_png_is_180_mm_wide_at_300_dots_per_inch(figure: str) -> None:
    pytest.importorskip("typst", reason="typst is not installed (the extra 'figures')")
    ((kind, drawn),) = Renderer(["png"])(figure, "Study 1")
    assert (kind, drawn[:8]) == ("png", b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(drawn[16:20]) == round(180 / 25.4 * 300)


def test_a_wrong_format_and_a_missing_package_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="--figure-format: expected pdf or png, got 'eps'"):
        Renderer(["pdf", "eps"])
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(MissingDependencyError, match=r"need typst: pip install 'radflow\[figures\]'"):
        Renderer(["pdf"])
