"""Eight studies of noise, as users have them: pictures, a manifest, and a recipe for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

FINDINGS = ("The lungs are clear. No pleural effusion.", "Large left pneumothorax. No pleural effusion.")
IMPRESSIONS = ("No acute disease.", "Large left pneumothorax.")


def write_ward(folder: Path, recipe: str, *, two_views: bool = False, **more: Any) -> Path:
    """Write ``recipe.toml`` and what it reads: four studies to train, two to validate, two to test.

    Args:
        folder: to fill; returned.
        recipe: reads ``studies.jsonl`` as its manifest.
        two_views: every other study has a second picture, of another shape.
        more: fields of every study.
    """
    rows = []
    for number, split in enumerate(["train"] * 4 + ["validate"] * 2 + ["test"] * 2):
        images = [f"{number}-{view}.png" for view in range(1 + number % 2 * two_views)]
        for view, name in enumerate(images):
            Image.effect_noise((40, 40 - 10 * view), 90).save(folder / name)
        row = {"study_id": f"s{number}", "patient_id": f"p{number}", "split": split, "images": images}
        told = {"findings": FINDINGS[number % 2], "impression": IMPRESSIONS[number % 2]}
        rows.append(row | told | more)
    (folder / "studies.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "recipe.toml").write_text(recipe)
    return folder
