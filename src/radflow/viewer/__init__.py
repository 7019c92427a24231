"""A run as a page that can be kept, sent and printed."""

from radflow.viewer.evidence import render_labels
from radflow.viewer.run_page.page import write_page

__all__ = ["render_labels", "write_page"]
