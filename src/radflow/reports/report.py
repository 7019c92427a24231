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
        """The text that is learnt, rewarded and scored: both sections in one line, or all of it without them.

        >>> Report(text="FINDINGS: Clear. CONCLUSION: Fine.", findings="Clear.", impression="Fine.").canonical
        'Findings: Clear. Impression: Fine.'
        """
        return render_report(self.findings, self.impression) if self.sectioned else self.text


def render_report(findings: str | None, impression: str | None) -> str:
    """Write two sections as one text, the way the ReXrank protocol scores them.

    A missing section becomes the literal ``None``, as in the reference script.

    >>> render_report("Lungs are clear.", "Normal chest.")
    'Findings: Lungs are clear. Impression: Normal chest.'
    >>> render_report(None, "Normal chest.")
    'Findings: None Impression: Normal chest.'
    """
    return f"Findings: {findings} Impression: {impression}"
