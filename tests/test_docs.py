"""What the documentation names exists: the table of the paper, and every link between its pages."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "radflow"
PAGES = sorted(page for where in ("*.md", "docs/**/*.md", "benchmarks/*.md") for page in ROOT.glob(where))
SECTIONS = ("3.1", "3.2", "4.1", "4.2", "4.3", "4.4", "5.1", "5.2", "5.3", "5.4 to 5.6")
SAID = (*SECTIONS, *(f"Eq. {number}" for number in range(1, 10)))


def rows() -> list[list[str]]:
    """The cells of the table ``The paper in one look``: what, files, functions, departure."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("## The paper in one look")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def defined(path: Path) -> set[str]:
    """Names at the top level of a module."""
    if path.suffix != ".py":
        return set()
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return names


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_table_of_the_paper_names_what_exists(row: list[str]) -> None:
    assert len(row) == 4
    files = [SOURCE / name for name in re.findall(r"`([^`]+)`", row[1])]
    assert files and all(path.is_file() for path in files)
    names = re.findall(r"`([^`]+)`", row[2])
    assert set(names) <= set().union(*map(defined, files))


def test_the_table_of_the_paper_has_every_equation_and_section() -> None:
    first = [row[0] for row in rows()]
    assert [said for said in SAID if not any(cell.startswith(said) for cell in first)] == []


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^ {4}.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_page_of_evidence_is_what_its_command_prints() -> None:
    printed = runpy.run_path(str(ROOT / "benchmarks" / "evidence.py"))["page"]()
    assert (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8") == printed
