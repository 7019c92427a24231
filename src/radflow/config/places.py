"""Text that is shown or passed on, without the way to folders of this machine."""

from __future__ import annotations

import re

_KIND = r"(?P<kind>(?:[\w-]{2,}:)?)"  # of a judge or a reader: "local:", "chexbert:"
_START = r"(?:~?/(?=[\w.~-])|[A-Za-z]:[\\/]+(?=\w))"
_PLACE = re.compile(
    "|".join(
        f"(?<={opening}){_KIND.replace('kind', f'kind{number}')}(?P<path{number}>{_START}{rest})"
        for number, (opening, rest) in enumerate(
            ((r"\"", r"[^\"\n]*"), ("'", r"[^'\n]*"), (r"\(", r"[^)\n]*"), (r"\s", r"[^\s\"'()]*"))
        )
    )
    + f"|^{_KIND}(?P<path>{_START}.*)",
    re.MULTILINE,
)
"""An absolute path: to the end of its quotation marks or brackets, of its word, or of the line it begins."""


def without_folders(text: str) -> str:
    """Put its last name in the place of each absolute path.

    Addresses such as ``http://localhost:8000/v1`` stay, and so do relative paths.

    >>> without_folders('model = "/home/me/my models/qwen"'), without_folders("local:/home/me/llama")
    ('model = "qwen"', 'local:llama')
    >>> without_folders("Consistency (local:/home/me/llama)"), without_folders("http://localhost:8000/v1")
    ('Consistency (local:llama)', 'http://localhost:8000/v1')
    """
    return _PLACE.sub(_name, text)


def _name(found: re.Match[str]) -> str:
    groups = {key: value for key, value in found.groupdict().items() if value is not None}
    kind = next((value for key, value in groups.items() if key.startswith("kind")), "")
    path = next(value for key, value in groups.items() if key.startswith("path"))
    return kind + re.split(r"[/\\]", path.rstrip("/\\"))[-1]
