"""Forms of model that transformers knows through radflow alone, and what makes it know them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from transformers import PretrainedConfig

FORMS: dict[str, str] = {
    "radflow_llava": "radflow.policy",
    "radflow_r2gen": "radflow.baselines.r2gen.model",
    "radflow_sections": "radflow.baselines.chexpert_plus.model",
}
"""``model_type`` in a folder's ``config.json`` to the module whose import registers the form: its
configuration with ``AutoConfig``, its model with ``AutoModelForImageTextToText``, a processor of its own with
``AutoProcessor``. No code lies in such a folder."""


def form_of(source: str | Path) -> str | None:
    """The module that transformers needs for a model, a folder or hub name; ``None`` where it needs none."""
    try:
        settings, _ = PretrainedConfig.get_config_dict(str(source))
    except (OSError, ValueError):  # who loads the model says what is wrong with it
        return None
    return FORMS.get(settings.get("model_type", ""))


def know_form(source: str | Path) -> None:
    """Make transformers know the form of a model."""
    module = form_of(source)
    if module is not None:
        import_module(module)
