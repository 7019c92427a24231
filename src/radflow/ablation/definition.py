"""What an ablation asks: rows, each a name with overrides of one recipe, in a TOML file.

    title = "How many reports per group?"
    compare_with = "four"

    [[rows]]
    name = "two"
    overrides = { "rft.group_size" = 2 }

    [[rows]]
    name = "four"

The paper's tables are such files, in ``tables/`` beside this module; docs/ablations.md explains every key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from radflow.config import knobs, placed
from radflow.config.section import Names, Section
from radflow.errors import MissingFileError, RecipeError, did_you_mean
from radflow.evaluation.controls import RADFLOW

TABLES = Path(__file__).with_name("tables")
PAPER = {number: TABLES / f"table-{number}.toml" for number in range(1, 7)}
"""The paper's tables, by number."""
_RESERVED = ("seed", "out")


class Row(Section):
    """One row: a run's recipe, and which system of that run the row shows."""

    name: str
    """Printed first in the row; no two rows of a group share one."""
    group: str = ""
    """Rows that follow each other with the same group stand under it."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Dotted keys of the recipe, or tables of them, with the values that this row sets."""
    system: str = RADFLOW
    """Whose reports: ``radflow``, ``sft``, ``template``, or any other that the evaluation of the run has."""
    unavailable: str = ""
    """Why the row is not run; its printed figures stand alone."""
    note: str = ""
    """Printed below the table."""
    paper: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Data set to metric to the figure that the paper prints."""

    @property
    def title(self) -> str:
        """The name with its group, which no other row has."""
        return f"{self.group}: {self.name}" if self.group else self.name


class Claim(Section):
    """One row is better than another: what the seeds are asked to decide."""

    says: str
    """The claim as a sentence."""
    row: str
    """The row that is said to be better, as ``name`` or ``group: name``."""
    than: str
    """The other row."""
    metrics: Names = Field(min_length=1)
    """Each is decided by itself."""
    studies: Literal["all", "critical"] = "all"
    """The test studies that count."""
    why: str = ""
    """What explains the answer, written after the runs; printed below the table."""


class Definition(Section):
    """A whole ablation."""

    title: str
    """Printed above everything."""
    about: str = ""
    """A sentence or two below the title."""
    compare_with: str | None = None
    """The row that the others are tested against, as ``name`` or ``group: name``; the first that is run when
    not given."""
    metrics: Names | None = None
    """Columns; every metric of the evaluations but the reward when not given, as rows may differ in it."""
    others: bool = False
    """Add a row for each further system that the runs of the recipe as it is have evaluated."""
    datasets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The paper's name of a data set to each ``data.source`` that stands for it, or ``data.modality`` of a
    table of one's own."""
    notes: tuple[str, ...] = ()
    """Printed below the table."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Of every row; a row's own go before them."""
    rows: tuple[Row, ...] = Field(min_length=1)
    """In the order in which they are printed."""
    claims: tuple[Claim, ...] = ()
    """What the rows are to decide; printed with the answer."""

    @model_validator(mode="after")
    def _rows_have_names_of_their_own(self) -> Definition:
        titles = [row.title for row in self.rows]
        if twice := next((title for title in titles if titles.count(title) > 1), None):
            raise ValueError(f"expected each row once, got {twice!r} twice")
        named = [("compare_with", self.compare_with)] if self.compare_with is not None else []
        for claim in self.claims:
            named += [(f"claim {claim.says!r}: {key}", getattr(claim, key)) for key in ("row", "than")]
        for where, name in named:
            if name not in {*titles, *(row.name for row in self.rows)}:
                raise ValueError(
                    f"{where}: expected one of {', '.join(titles)}; got {name!r}.{did_you_mean(name, titles)}"
                )
        return self

    @property
    def reference(self) -> Row | None:
        """The row that the others are tested against; ``None`` where no row is run."""
        if self.compare_with is None:
            return next((row for row in self.rows if not row.unavailable), None)
        return self.row(self.compare_with)

    def row(self, name: str) -> Row:
        """The row of that title, or else the first of that name."""
        return next((r for r in self.rows if r.title == name), None) or next(
            r for r in self.rows if r.name == name
        )


_LISTS = {"rows": ("row", "name", Row.model_fields), "claims": ("claim", "says", Claim.model_fields)}
"""What a definition lists: what one is called, the key that names it, its keys."""


def read_definition(path: Path) -> Definition:
    """Read an ablation.

    Raises:
        MissingFileError: there is no such file.
        RecipeError: it is not TOML, or not of this form; names the file and the row.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(
            f"{path}: no such ablation; docs/ablations.md says what such a file holds, and --table N is one "
            "of the paper's"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected TOML, got {error}") from None
    except OSError as error:
        raise RecipeError(f"{path}: the ablation cannot be read ({error.strerror or error})") from None
    try:
        return Definition.model_validate(raw)
    except ValidationError as error:
        raise RecipeError("; ".join(_explain(e, path, raw) for e in error.errors())) from None


def options_of(row: Row, definition: Definition, path: Path) -> dict[str, str]:
    """The overrides of a row as the command line would spell them, by dotted key.

    Relative folders and files start where the definition lies, as those of a recipe do.

    Raises:
        RecipeError: a key that no recipe has, or that is not a row's to set; names file and row.

    >>> row = Row(name="a", overrides={"rft": {"steps": 3}, "evaluation.controls": ["template"]})
    >>> options_of(row, Definition(title="t", rows=(row,)), Path("a.toml"))
    {'rft.steps': '3', 'evaluation.controls': 'template'}
    """
    found, known = {}, set(knobs())
    for overrides, whose in ((definition.overrides, "[overrides]"), (row.overrides, f"row {row.title!r}")):
        for key, value in _flat(overrides):
            where = f"{path}: {whose}"
            if key in _RESERVED:
                raise RecipeError(f"{where}: {key} is set by the ablation itself (--seeds, --out)")
            if key not in known and not key.startswith("data.splits."):
                raise RecipeError(f"{where}: no such knob {key!r}.{did_you_mean(key, known)}")
            found[key] = placed(key, _spelt(value, f"{where}: {key}"), path.absolute().parent)
    return found


def _flat(overrides: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in overrides.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _spelt(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ",".join(map(str, value))
    if isinstance(value, str | int | float):
        return str(value)
    raise RecipeError(f"{where}: expected text, a number, true or false, or a list of those; got {value!r}")


def _explain(error: Mapping[str, Any], path: Path, raw: Mapping[str, Any]) -> str:
    """One line that names the row, where it is one."""
    place = [str(part) for part in error["loc"]]
    where, fields = str(path), list(Definition.model_fields)
    if len(place) > 1 and place[0] in _LISTS:
        kind, called, keys = _LISTS[place[0]]
        listed: Any = raw[place[0]]
        one = listed[int(place[1])] if isinstance(listed, list) else {}
        name = one.get(called) if isinstance(one, dict) else None
        where += f": {kind} {int(place[1]) + 1}" + (f" ({name!r})" if isinstance(name, str) else "")
        place, fields = place[2:], list(keys)
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}.{did_you_mean(key, fields)}"
    if error["type"] == "missing":
        return f"{where}: expected the key {key!r}, found none"
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}"
    said = error["msg"].replace("Input should be", "expected")
    return f"{where}: {key + ': ' if key else ''}{said}, got {error['input']!r:.60}"
