"""The lines of a model card that load the model. A test runs them."""

from __future__ import annotations

import json

from radflow.policy.serving import vllm_rank

_LOAD_ADAPTER = """\
import torch
from peft import PeftModel
from PIL import Image{pad_import}
from transformers import AutoModelForImageTextToText, AutoProcessor

base = AutoModelForImageTextToText.from_pretrained({base}, dtype="auto")
model = PeftModel.from_pretrained(base, "FOLDER").eval()
"""
_LOAD_WHOLE = """\
import torch
from PIL import Image{pad_import}
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("FOLDER", dtype="auto").eval()
"""
_WRITE = """\
processor = AutoProcessor.from_pretrained("FOLDER")

images = [Image.open("study.png").convert("RGB")]  # all of a study, in the order of training
{pad}content = [*({{"type": "image"}} for _ in images), {{"type": "text", "text": {prompt}}}]
chat = processor.apply_chat_template(
    [{{"role": "user", "content": content}}], add_generation_prompt=True, tokenize=False
)
inputs = processor(text=[chat], images=images, return_tensors="pt")
with torch.inference_mode():
    output = model.generate(**inputs, max_new_tokens={most}, do_sample=False)
print(processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
"""


_PAD = """\
images = [ImageOps.pad(image, (max(image.size),) * 2) for image in images]  # or its ends are cropped
"""


def loading_lines(kind: str, *, base: str, prompt: str, most: int, pads: bool) -> str:
    """Python that writes one report.

    Args:
        kind: ``adapter`` for a PEFT folder, else a whole model.
        base: name of the base model, or what stands for it.
        prompt: the instruction the model was trained with.
        most: tokens of the longest report.
        pads: whether it was trained on pictures that were padded to a square.
    """
    load = _LOAD_ADAPTER if kind == "adapter" else _LOAD_WHOLE
    head = load.format(base=json.dumps(base), pad_import=", ImageOps" if pads else "")
    return head + _WRITE.format(prompt=json.dumps(prompt), most=most, pad=_PAD if pads else "")


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
