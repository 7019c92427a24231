"""``radflow baselines``: the list, and published weights as folders."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from radflow.baselines import BASELINES
from radflow.config.policy import FROM_NOISE
from radflow.modality import attribute
from radflow.policy.forms import FORMS

Command = Callable[..., tuple[int, str, str]]
DOCS = Path(__file__).parents[2] / "docs"


def test_every_system_is_listed_with_what_is_known_of_it(command: Command) -> None:
    status, out, err = command("baselines")
    assert (status, err) == (0, "")
    said = " ".join(out.split())
    for name, known in BASELINES.items():
        assert re.search(rf"^{name}\s", out, re.MULTILINE)
        for fact in (known.what, known.licence, known.row, known.run, known.checkpoint):
            assert " ".join(fact.split()) in said


def test_the_page_has_every_system() -> None:
    page = (DOCS / "baselines.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE) == list(BASELINES)


def test_what_records_name_exists() -> None:
    targets = [t for known in BASELINES.values() for t in (known.build, known.convert) if t is not None]
    assert all(callable(attribute(target)) for target in targets)
    built = [name for name, known in BASELINES.items() if known.build is not None]
    assert ["tiny", *built] == list(FROM_NOISE)
    for form, module in FORMS.items():
        import_module(module)
        from transformers import AutoConfig

        assert AutoConfig.for_model(form).model_type == form


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("r2gem", "x"), "expected a baseline among"),
        (("template", "x"), "template: no published weights are read"),
    ],
)
def test_bad_input_of_convert_is_one_line(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    status, _, err = command("baselines", "convert", *arguments, "--out", tmp_path / "out")
    assert status == 1 and said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
