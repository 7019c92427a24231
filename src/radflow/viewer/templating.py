"""Jinja with escaping on, the files beside the templates, and the hashes that let them run."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2


def environment() -> jinja2.Environment:
    """Return the templates' environment: text is escaped, a name that is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("radflow.viewer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """Return the text of a file beside the templates."""
    return resources.files("radflow.viewer").joinpath("templates", name).read_text(encoding="utf-8")


def csp_hash(text: str) -> str:
    """Return the hash by which a content security policy admits exactly this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
