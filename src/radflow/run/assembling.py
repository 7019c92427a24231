"""``radflow assemble``: a vision tower, a connector and a causal language model become a policy's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from radflow.folders import replaced_folder, sweep
from radflow.run.merging import check_out

ConnectorName = Literal["linear", "mlp", "perceiver", "qformer"]


def assemble_command(
    screen: Console,
    vision: str,
    language: str,
    connector: ConnectorName,
    tokens: int | None,
    image_size: int | None,
    out: Path,
    seed: int,
) -> None:
    """Load the parts, put them together, write the folder whole or not at all, and say what it is.

    Raises:
        MissingFileError: one of the parts is not there.
        DataError: one is of another kind or damaged, the visual tokens do not fit, or ``out`` holds
            something.
        NotWritableError: ``out`` cannot be written.
    """
    check_out(out)
    sweep(out.absolute().parent, out.name)

    from radflow.policy.assembly.assemble import assemble_named

    with replaced_folder(out.absolute()) as fresh:
        made = assemble_named(
            vision, language, fresh, connector=connector, tokens=tokens, image_size=image_size, seed=seed
        )
    sizes = {
        part: sum(p.numel() for p in module.parameters()) / 1e6
        for part, module in (
            ("vision tower", made.model.model.vision_tower),
            ("connector", made.model.model.multi_modal_projector),
            ("language model", made.model.get_decoder()),
        )
    }
    told = ", ".join(f"{part} {size:,.1f} M" for part, size in sizes.items())
    screen.print(f"{out}: {told} parameters; {made.tokens} visual tokens per picture", markup=False)
    screen.print(made.form, markup=False)
    screen.print(
        f"The connector has learnt nothing yet: radflow run RECIPE --policy.model {out} trains it.",
        markup=False,
    )
