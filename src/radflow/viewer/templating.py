"""Pages from the templates: text is escaped, and a page lets in no style and no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2


def render(
    template: str, *, styles: Sequence[str] = ("page.css",), scripts: Sequence[str] = (), **values: Any
) -> str:
    """Return a self-contained page, which loads nothing; the same values give the same bytes.

    Args:
        template: the name of a template that extends ``document.jinja``.
        styles: files beside it, put into the page.
        scripts: likewise.
        values: what the template asks for; one that is not given is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("radflow.viewer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = _csp_hash
    style, script = ("".join(map(asset, names)) for names in (styles, scripts))
    return environment.get_template(template).render(style=style, script=script, **values)


def asset(name: str) -> str:
    """Return the text of a file beside the templates."""
    return resources.files("radflow.viewer").joinpath("templates", name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """Return the hash by which a content security policy admits exactly this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
