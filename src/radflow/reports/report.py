"""The type every other room passes around: a report and its two sections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Report:
    """A radiology report.

    Attributes:
        text: the whole report as written.
        findings: the Findings section without its header, or ``None`` where there is none or the sections
            are ambiguous.
        impression: the Impression section likewise.
    """

    text: str
    findings: str | None
    impression: str | None

    @property
    def sectioned(self) -> bool:
        """Whether both sections are known, so that the impression reward applies."""
        return self.findings is not None and self.impression is not None

    @property
    def canonical(self) -> str:
        """The text that is learnt, rewarded and scored: the known sections in one line, or all of it without.

        Findings alone may be bare, as in the data sets that hold nothing else. An Impression alone keeps its
        header: a policy trained on bare ones would write no Impression that could be rewarded.

        >>> Report(text="FINDINGS: Clear. CONCLUSION: Fine.", findings="Clear.", impression="Fine.").canonical
        'Findings: Clear. Impression: Fine.'
        >>> Report(text="Clear.", findings="Clear.", impression=None).canonical
        'Clear.'
        >>> Report(text="Fine.", findings=None, impression="Fine.").canonical
        'Impression: Fine.'
        """
        rendered = render_report(self.findings, self.impression)
        if self.sectioned:
            return rendered
        if not self.has_one_section or self.text in (self.findings, rendered):
            return self.text
        return f"Impression: {self.impression}" if self.findings is None else f"Findings: {self.findings}"

    @property
    def has_one_section(self) -> bool:
        """Whether exactly one section is known."""
        return (self.findings is None) != (self.impression is None)

    @property
    def is_one_section(self) -> bool:
        """Whether the text is one section and nothing else, with or without its header."""
        only = self.impression if self.findings is None else self.findings
        return self.has_one_section and self.text in (only, self.canonical)


def render_report(findings: str | None, impression: str | None) -> str:
    """Write two sections as one text, the way the ReXrank protocol scores them.

    A missing section becomes the literal ``None``, as in the reference script.

    >>> render_report("Lungs are clear.", "Normal chest.")
    'Findings: Lungs are clear. Impression: Normal chest.'
    >>> render_report(None, "Normal chest.")
    'Findings: None Impression: Normal chest.'
    """
    return f"Findings: {findings} Impression: {impression}"
