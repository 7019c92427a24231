"""From words and a number of images to the text that a model's processor expects, in its own form."""

from __future__ import annotations

from typing import Any

from jinja2 import TemplateError

from radflow.errors import DataError

PREFIX_FORM = "PaliGemmaProcessor"
"""Its models have no chat: image tokens, then the prompt; the processor adds the newline that ends it."""


def chat_text(processor: Any, words: str, *, images: int) -> str:
    """The prompt with a placeholder for each image, up to where the report begins.

    Args:
        processor: of the model.
        words: what is asked.
        images: how many it is asked about.

    Raises:
        DataError: the model has no chat template, or one that does not show it the images.
    """
    token = getattr(processor, "image_token", None)
    if not getattr(processor, "chat_template", None):
        if type(processor).__name__ == PREFIX_FORM:
            return f"{token}" * images + words
        raise DataError(
            f"{_name(processor)}: expected a chat template (chat_template.jinja or chat_template.json), "
            "found none, so nothing says how its model is asked; copy the file from the model that this one "
            "was made from"
        )
    parts: list[dict[str, str]] = [{"type": "image"}] * images
    chat = _rendered(processor, [*parts, {"type": "text", "text": words}])
    if token is None or chat.count(token) == images:
        return chat
    chat = _rendered(processor, f"{token}\n" * images + words)  # a template of plain text
    if chat.count(token) == images:
        return chat
    raise DataError(
        f"{_name(processor)}: expected its chat template to place {images} image(s), got {chat.count(token)} "
        f"of {token}; copy the template from the model that this one was made from"
    )


def starts_itself(processor: Any, chat: str) -> bool:
    """Whether a prompt holds the token that begins a text already, so that the tokenizer must not add one."""
    begin = processor.tokenizer.bos_token
    return begin is not None and chat.startswith(begin)


def reply_type(processor: Any) -> int:
    """``token_type_ids`` of what follows a prompt: 0 is text, but PaliGemma's whole prompt sees type 0.

    A report of type 0 would be read before it is written. In type 1 nothing sees what comes later.
    """
    return int(type(processor).__name__ == PREFIX_FORM)


def _rendered(processor: Any, content: Any) -> str:
    message = {"role": "user", "content": content}
    try:
        return processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    except TemplateError as error:
        raise DataError(f"{_name(processor)}: its chat template cannot be filled in: {error}") from None


def _name(processor: Any) -> str:
    return processor.tokenizer.name_or_path or type(processor).__name__
