"""Reports: the type, the deterministic section parser, and rendering back to text."""

from radflow.reports.parser import parse_report
from radflow.reports.report import Report, render_report

__all__ = ["Report", "parse_report", "render_report"]
