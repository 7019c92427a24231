"""What every section of the recipe is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


def split_at_commas(value: Any) -> Any:
    """``a, b`` from a command line as the two that it names."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _as_several(value: Any) -> Any:
    """One number as a tuple of it; a text of a command line as the numbers that it names."""
    return (value,) if isinstance(value, int | float) else split_at_commas(value)


Rates = Annotated[tuple[Positive, ...], BeforeValidator(_as_several)]
Names = Annotated[tuple[str, ...], BeforeValidator(split_at_commas)]
Terms = Annotated[tuple[Literal["syntax", "domain", "consistency"], ...], BeforeValidator(split_at_commas)]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
Trackers = Annotated[tuple[Tracker, ...], BeforeValidator(split_at_commas)]


class Section(BaseModel):
    """A part of the recipe: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
