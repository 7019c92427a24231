"""The lines of a model card that load the model. A test runs them."""

from __future__ import annotations

import json
from typing import Any

from radflow.policy.chat import PREFIX_FORM
from radflow.policy.processors import leaves_video_out
from radflow.policy.serving import vllm_rank

_LOAD_ADAPTER = """\
import torch
from peft import PeftModel
from PIL import Image{pad_import}
from transformers import AutoModelForImageTextToText, {kind}

base = AutoModelForImageTextToText.from_pretrained({base}, dtype="auto")
model = PeftModel.from_pretrained(base, "FOLDER").eval()
"""
_LOAD_WHOLE = """\
import torch
from PIL import Image{pad_import}
from transformers import AutoModelForImageTextToText, {kind}

model = AutoModelForImageTextToText.from_pretrained("FOLDER", dtype="auto").eval()
"""
_PROCESSOR = """\
processor = {kind}.from_pretrained("FOLDER")
"""
_IMAGES_ONLY = """\


class Processor({kind}):  # without its half for video, which needs torchvision
    get_attributes = classmethod(lambda cls: ["image_processor", "tokenizer"])
{stand_in}

processor = Processor.from_pretrained("FOLDER")
"""
_STAND_IN = """\
    video_processor = type("Video", (), {"num_frames": None, "fps": None})  # it asks for these all the same
"""
_IMAGES = """\

images = [Image.open("study.png").convert("RGB")]  # all of a study, in the order of training
"""
_PAD = """\
images = [ImageOps.pad(image, (max(image.size),) * 2) for image in images]  # or its ends are cropped
"""
_CHAT = """\
content = [{{"type": "image", "image": image}} for image in images]
content.append({{"type": "text", "text": {prompt}}})
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
)
"""
_PREFIX = """\
text = processor.image_token * len(images) + {prompt}
inputs = processor(text=[text], images=[images], return_tensors="pt")
"""
_WRITE = """\
with torch.inference_mode():
    output = model.generate(**inputs, max_new_tokens={most}, do_sample=False)
print(processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
"""


def loading_lines(
    kind: str, *, base: str, prompt: str, most: int, processor: Any = None, pads: bool = False
) -> str:
    """Python that writes one report, with only transformers and peft.

    Args:
        kind: ``adapter`` for a PEFT folder, else a whole model.
        base: name of the base model, or what stands for it.
        prompt: the instruction the model was trained with.
        most: tokens of the longest report.
        processor: of the model, where it has one.
        pads: whether it was trained on pictures that were padded to a square.
    """
    load = _LOAD_ADAPTER if kind == "adapter" else _LOAD_WHOLE
    video = leaves_video_out(processor)
    name = type(processor).__name__ if video else "AutoProcessor"
    chat = _PREFIX if type(processor).__name__ == PREFIX_FORM else _CHAT
    return "".join(
        (
            load.format(base=json.dumps(base), pad_import=", ImageOps" if pads else "", kind=name),
            (_IMAGES_ONLY if video else _PROCESSOR).format(
                kind=name, stand_in=_STAND_IN if name == "SmolVLMProcessor" else ""
            ),
            _IMAGES,
            _PAD if pads else "",
            chat.format(prompt=json.dumps(prompt)),
            _WRITE.format(most=most),
        )
    )


def vllm_line(kind: str, *, base: str, rank: int, images: int) -> str:
    """The command that serves the model, with studies of so many images.

    >>> vllm_line("merged", base="", rank=8, images=1)
    'vllm serve FOLDER'
    >>> vllm_line("adapter", base="BASE", rank=12, images=1)
    'vllm serve BASE --enable-lora --max-lora-rank 16 --lora-modules radflow=FOLDER'
    """
    limit = f" --limit-mm-per-prompt '{{\"image\": {images}}}'" if images > 1 else ""
    if kind != "adapter":
        return f"vllm serve FOLDER{limit}"
    lora = f"--enable-lora --max-lora-rank {vllm_rank(rank)} --lora-modules radflow=FOLDER"
    return f"vllm serve {base} {lora}{limit}"
