"""Every module with annotated arrays is on the list of rooms whose shapes are checked."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_module_with_annotated_arrays_is_checked() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"][
        "addopts"
    ]
    (listed,) = (option for option in options if option.startswith("--jaxtyping-packages="))
    *rooms, checker = listed.partition("=")[2].split(",")
    assert checker == "shapes.checked"
    modules = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for path in (ROOT / "src").rglob("*.py")
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    }
    assert [m for m in sorted(modules) if not any(f"{m}.".startswith(f"{room}.") for room in rooms)] == []
