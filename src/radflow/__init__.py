"""radflow fine-tunes a vision-language model the way radiologists report: describe, interpret, refine."""

__version__ = "0.1.0"
