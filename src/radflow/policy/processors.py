"""The processor of a model: what turns pictures and text into its inputs. The one place that loads one.

Qwen-VL, InternVL, LLaVA-OneVision and SmolVLM process video too. transformers implements that half only with
torchvision, and asks for it as soon as their processor is loaded. radflow shows a model images and text, so
it loads the image processor and the tokenizer, which need Pillow alone, with torchvision installed or not;
numbers are the same either way. The settings of the video half go along: a processor saved from here is
complete again wherever torchvision is.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
from transformers.utils import cached_file

from radflow.errors import MissingDependencyError, MissingFileError
from radflow.policy.forms import know_form

PROCESSOR, IMAGES, VIDEO, TOKENIZER = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
)


def load_processor(source: str | Path, *, trust_remote_code: bool = False) -> Any:
    """Load a model's processor, without the half that processes video.

    Args:
        source: hub name, model folder, or adapter folder with a processor.
        trust_remote_code: whether code that comes with the model may run.

    Returns:
        An object with ``image_processor``, ``tokenizer`` and, where the model has one, ``chat_template``.

    Raises:
        MissingFileError: there is no processor, or it lacks one of the two.
        MissingDependencyError: it needs a package that is not installed.
    """
    name = str(source)
    know_form(name)
    try:
        kind = _kind(name, trust_remote_code)
        if kind is not None and processes_video(kind):
            processor = _without_video(kind, name)
        else:
            processor = AutoProcessor.from_pretrained(
                name, trust_remote_code=trust_remote_code, backend="pil"
            )
    except ImportError as error:
        raise MissingDependencyError(_lacking(name, error)) from None
    except (OSError, ValueError) as error:
        raise MissingFileError(_incomplete(name, str(error).splitlines()[0])) from None
    absent = [part for part in ("image_processor", "tokenizer") if getattr(processor, part, None) is None]
    if absent:
        raise MissingFileError(_incomplete(name, f"no {absent[0]}"))
    if len(processor.tokenizer) <= len(
        processor.tokenizer.all_special_ids
    ):  # what transformers makes of none
        raise MissingFileError(_incomplete(name, "the tokenizer has no words"))
    if getattr(processor, "chat_template", None) is None:  # some models have it with the tokenizer only
        processor.chat_template = getattr(processor.tokenizer, "chat_template", None)
    return processor


def has_processor(folder: Path) -> bool:
    """Whether a folder holds a processor; an adapter folder of other tools may leave it to the base."""
    return any((folder / name).is_file() for name in (PROCESSOR, IMAGES))


def processes_video(kind: type[ProcessorMixin]) -> bool:
    """Whether processors of this class have a half for video, which needs torchvision."""
    return "video_processor" in kind.get_attributes()


def leaves_video_out(processor: Any) -> bool:
    """Whether this is a processor whose half for video was left out here."""
    return hasattr(processor, "video_settings")


@cache
def images_only(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """A processor class without its video half; its instances save themselves as those of ``kind`` do.

    >>> from transformers import Qwen2_5_VLProcessor
    >>> images_only(Qwen2_5_VLProcessor).get_attributes()
    ['image_processor', 'tokenizer']
    """

    parent: Any = kind

    class ImagesOnly(parent):
        """A processor of images and text.

        Attributes:
            video_settings: of the half that is left out, as its model's folder has them.
            video_processor: SmolVLM's asks it for two numbers, whatever it is given.
        """

        video_settings: dict[str, Any] | None = None
        video_processor = SimpleNamespace(num_frames=None, fps=None)

        @classmethod
        def get_attributes(cls) -> list[str]:
            """What it is made of."""
            return [name for name in kind.get_attributes() if name != "video_processor"]

        def to_dict(self) -> dict[str, Any]:
            """What ``save_pretrained`` writes."""
            settings = {} if self.video_settings is None else {"video_processor": self.video_settings}
            return super().to_dict() | settings

    ImagesOnly.__name__ = ImagesOnly.__qualname__ = kind.__name__  # processor_class in the files
    return ImagesOnly


def _without_video(kind: type[ProcessorMixin], source: str) -> Any:
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(source, backend="pil"),
        "tokenizer": AutoTokenizer.from_pretrained(source),
        "video_processor": None,
    }
    settings, _ = kind.get_processor_dict(source)
    others = {name: value for name, value in settings.items() if name not in parts}
    processor: Any = images_only(kind).from_args_and_dict(
        [parts[name] for name in kind.get_attributes()], others
    )
    # In the order in which transformers looks for them.
    processor.video_settings = (
        settings.get("video_processor") or _written(source, VIDEO) or _written(source, IMAGES) or None
    )
    return processor


def _kind(source: str, trust_remote_code: bool) -> type[ProcessorMixin] | None:
    """The class of transformers that a model's files name; ``None`` where AutoProcessor knows better."""
    for name in (PROCESSOR, IMAGES, TOKENIZER):
        written = _written(source, name)
        if trust_remote_code and "AutoProcessor" in written.get("auto_map", {}):
            return None
        if written.get("processor_class"):
            return processor_class_from_name(written["processor_class"])
    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    kinds: Any = PROCESSOR_MAPPING
    return kinds.get(type(config), None)


def _written(source: str, name: str) -> dict[str, Any]:
    """A file of a model, from its folder or from the hub and its cache; empty where there is none."""
    path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    return {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))


def _incomplete(source: str, why: str) -> str:
    return (
        f"{source}: expected a processor ({IMAGES} or {PROCESSOR}, and the tokenizer's files), found none "
        f"that is whole ({why}); copy these files from the model that this one was made from"
    )


def _lacking(source: str, error: ImportError) -> str:
    if "num2words" in str(error):
        return f"{source}: SmolVLM's processor needs num2words: pip install 'radflow[smolvlm]'"
    return f"{source}: its processor needs a missing package: {error}"
