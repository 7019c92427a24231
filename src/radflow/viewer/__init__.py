"""A run as a page that can be kept, sent and printed."""

from radflow.viewer.page import write_page

__all__ = ["write_page"]
