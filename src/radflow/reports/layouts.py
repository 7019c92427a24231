"""Reports that are no plain text, as lines: HTML and XML, JSON and what resembles it, tables, code fences.

Only marks of layout are rewritten. A text without any comes back as it is.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from radflow.reports.headers import Headers

_PARAGRAPHS = "p|div|table|ul|ol|dl|h[1-6]|section|article|header|footer|title|body|html|head|report|text|pre"
_LINES = "br|hr|tr|li|dt|dd|tbody|thead|caption|center"
_INLINE = "b|strong|i|em|u|span|font|small|big|a|code|label|sub|sup|mark|style|meta|link"
# A tag of HTML, or one named after a section: "<5 mm" and "Dr. <XXXX>" are text.
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][\w.-]{0,60})(?:\s[^<>]*)?/?>|<[!?][^<>]*>")
_PARAGRAPH, _LINE = re.compile(_PARAGRAPHS), re.compile(_LINES)
_KNOWN = re.compile(f"{_PARAGRAPHS}|{_LINES}|{_INLINE}|td|th")
_ATTRIBUTE = re.compile(
    r"""\s(?:label|name|title|type|id|class)\s?=\s?["']([^"'<>]{1,80})["']""", re.IGNORECASE
)
_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,6});", re.IGNORECASE)
# Text that HTML emphasises, and whether its section may follow: "<b>Findings</b> are stable" is a sentence.
_MARKED = re.compile(
    r"(?<=[>.!?;:)\s])(?P<tags>(?:<(?:b|strong|u|em|i|span|font|h[1-6]|title|dt|p|div)(?:\s[^<>]*)?>\s{0,9}){1,4})"
    r"(?P<number>\(?\d{1,2}[.)]\s*)?(?P<inside>[^<>]{1,80})"
    r"(?:</[A-Za-z1-6]+>\s{0,9}){1,4}(?P<colon>[:–—-]?)(?=\s*(?:[A-Z\d<]|\Z)|(?<=[:–—-]))"
)
_MANY_LINES = re.compile(r"[^\S\n]*\n(?:[^\S\n]*\n)+")

_FENCE = re.compile(r"\A\s*+(?P<fence>```|~~~)[\w-]*[^\S\n]*\n(?P<inside>.*)(?P=fence)\s*\Z", re.DOTALL)
_ROW = re.compile(r"[^\S\n]*\|(?P<cells>[^\n]*)\|[^\S\n]*")
_RULED = re.compile(r"[\s|:-]*-[\s|:-]*")

_KEY = r"""(?P<quote>["']?)(?P<key>[^\W\d_][\w .()/-]{0,60}?)(?P=quote)\s{0,9}[:=]\s{0,9}"""
# "findings": "...", in any quotes, where the whole is neither JSON nor Python.
_PAIR = re.compile(
    _KEY + r"""(?:"(?P<double>(?:[^"\\]|\\.)*+)"|'(?P<single>(?:[^'\\]|\\.|(?<=\w)'(?=\w))*+)'|null|None)"""
    r"""(?=\s{0,9}(?:[,}\n;]|\Z))""",
    re.DOTALL,
)
_QUOTED = re.compile(r"""["'\]]\s{0,9}[:,}\]]|[:=]\s{0,9}["'\[{]""")
_BETWEEN_PAIRS = re.compile(r"""(?:[\s{}\[\],;]|["']?[\w ]{1,60}["']?\s{0,9}:\s{0,9}(?=[{\[]))*+""")
_LONGEST_LITERAL = 100_000  # characters that are tried as Python
_WRAPPERS = frozenset(
    {"report", "text", "content", "body", "value", "message", "output", "answer", "response", "result"}
)
_DEEPEST = 20
_LONGEST_NAME = 80


class _Object(list[tuple[str, Any]]):
    """The members of a JSON object, in order, those of one name included."""


def as_lines(text: str, headers: Headers) -> str:
    """Lay out a report as lines, its headers followed by colons.

    >>> from radflow.reports.headers import read_headers
    >>> as_lines("<b>Findings</b> Clear &amp; normal.", read_headers()).split("\\n")[-1].strip()
    'Clear & normal.'
    >>> print(as_lines('{"findings": "Clear.", "impression": "Normal."}', read_headers()))
    findings: Clear.
    <BLANKLINE>
    impression: Normal.
    >>> as_lines("A nodule <5 mm.", read_headers())
    'A nodule <5 mm.'
    """
    if (fence := _FENCE.match(text)) is not None:
        text = fence["inside"]
    if text.lstrip().startswith(">") and all(
        line.startswith(">") for line in text.splitlines() if line.strip()
    ):
        text = re.sub(r"^> ?", "", text, flags=re.MULTILINE)
    if "\\n" in text and "\n" not in text and not text.lstrip().startswith(("{", "[")):
        text = text.replace("\\r", "").replace("\\n", "\n")
    if "<" in text or "&" in text:
        text = _without_tags(text, headers)
    if "|" in text:
        text = _without_rows(text, headers)
    if ('"' in text or "'" in text or "[" in text or "]" in text or "{" in text) and _QUOTED.search(text):
        text = _without_keys(text, headers)
    return text


def _without_tags(text: str, headers: Headers) -> str:
    """HTML and XML as lines."""

    def known(tag: re.Match[str]) -> bool:
        name = tag["name"]
        return name is not None and (
            _KNOWN.fullmatch(name.lower()) is not None
            or name in attributed
            or _named(name, headers) is not None
        )

    def header(marked: re.Match[str]) -> str:
        if _named(marked["inside"], headers) is None:
            return marked.group()
        return f"<p>{marked['number'] or ''}{marked['inside'].strip().rstrip(':')}:<br>"

    def line(tag: re.Match[str]) -> str:
        name = (tag["name"] or "").lower()
        if not known(tag):
            return tag.group() if name else ""
        attribute = _ATTRIBUTE.search(tag.group())
        section = _named(attribute[1] if attribute else tag["name"], headers)
        if section is not None and not tag["end"]:
            return f"\n\n{section}: "
        if name in ("td", "th"):
            return " | " if tag["end"] else ""
        if _PARAGRAPH.fullmatch(name) or not _KNOWN.fullmatch(name):
            return "\n\n"
        if _LINE.fullmatch(name):
            return "" if tag["end"] else "\n" + "| " * (name == "tr")
        return ""

    if _ENTITY.search(text):
        text = html.unescape(text).replace("\xa0", " ")
    attributed = {
        tag["name"]
        for tag in _TAG.finditer(text)
        if (attribute := _ATTRIBUTE.search(tag.group())) and _named(attribute[1], headers)
    }
    if sum(map(known, _TAG.finditer(text))) > 1:  # one stray "<BR>" is no layout
        text = _MARKED.sub(header, "\n" + text)
        text = _MANY_LINES.sub("\n\n", _TAG.sub(line, text))
    return text


def _named(name: str, headers: Headers) -> str | None:
    """A key or tag as the name of a section, or ``None``: ``clinical_history``, ``finalImpression``."""
    if len(name) > _LONGEST_NAME:
        return None
    spaced = (
        re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").strip(" *#:").removeprefix("section ")
    )
    return spaced if headers.name.fullmatch(spaced.lower()) else None


def _without_rows(text: str, headers: Headers) -> str:
    """Rows of a table that name sections, as lines: a name beside its section, or names above them."""
    done: list[str] = []
    above: Sequence[str] = ()
    for line in text.split("\n"):
        row = _ROW.fullmatch(line.rstrip("\r"))
        cells = [cell.strip() for cell in row["cells"].split("|")] if row else []
        names = [_named(cell, headers) for cell in cells]
        if row and _RULED.fullmatch(line):
            continue
        if len(cells) == 2 and names[0] and not names[1]:
            done.append(f"\n{names[0]}: {cells[1]}\n")
        elif len(cells) > 1 and all(names):
            above = cells
        elif above and len(above) == len(cells):
            done += [f"\n{name}: {cell}\n" for name, cell in zip(above, cells, strict=True)]
        else:
            done.append(line)
    return "\n".join(done)


def _without_keys(text: str, headers: Headers) -> str:
    """JSON, a Python dictionary, or pairs of keys and quoted strings, as lines."""
    value = _read(text)
    if value is None:
        pairs = list(_PAIR.finditer(text))
        between = _PAIR.sub("", text) if any(_named(pair["key"], headers) for pair in pairs) else text
        if not pairs or not _BETWEEN_PAIRS.fullmatch(between):
            return text
        if any(_named(pair["key"], headers) and _named(_unquoted(pair).strip(), headers) for pair in pairs):
            return text  # from an apostrophe in one section to one in the next
        value = _Object((pair["key"], _unquoted(pair)) for pair in pairs)
    lines = "\n\n".join(_laid_out(value, headers, _DEEPEST))
    return lines if headers.header.search(lines.lower()) else text


def _read(text: str) -> Any:
    """The object or list that a text is, or ``None``."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text, strict=False, object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        pass
    if len(text) > _LONGEST_LITERAL:
        return None
    try:
        return _members(ast.literal_eval(text), _DEEPEST)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _members(value: Any, depth: int) -> Any:
    if depth and isinstance(value, dict):
        return _Object((str(key), _members(inner, depth - 1)) for key, inner in value.items())
    if depth and isinstance(value, (list, tuple)):
        return [_members(inner, depth - 1) for inner in value]
    return value


def _unquoted(pair: re.Match[str]) -> str:
    said = pair["double"] or pair["single"] or ""
    return re.sub(
        r"\\([nrt\"'\\])", lambda escape: {"n": "\n", "r": "", "t": "\t"}.get(escape[1], escape[1]), said
    )


def _laid_out(value: Any, headers: Headers, depth: int) -> Iterator[str]:
    """A value in pieces, each a section with its name or text without."""
    if isinstance(value, _Object) and depth:
        strings = [inner for _, inner in value if isinstance(inner, str)]
        name = next((name for said in strings if (name := _named(said, headers))), None)
        if name is not None and len(strings) == 2 and not any(_named(key, headers) for key, _ in value):
            yield f"{name}: {next(said for said in strings if not _named(said, headers))}"
            return
        for key, inner in value:
            pieces = list(_laid_out(inner, headers, depth - 1))
            section = _named(key, headers)
            if section is None and (key.lower() in _WRAPPERS or isinstance(inner, list)):
                yield from pieces
            else:
                yield f"{section or key}: " + "\n".join(pieces)
    elif isinstance(value, list) and depth:
        for inner in value:
            yield from _laid_out(inner, headers, depth - 1)
    elif value is not None:
        yield str(value)
