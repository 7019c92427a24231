"""Bridges to other people's tools. Each module needs its extra, and nothing in radflow imports them.

`radflow.integrations.trl`: CAPO and the hierarchical reward for people who train with TRL (``radflow[trl]``).
"""
