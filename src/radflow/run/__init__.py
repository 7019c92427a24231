"""A run from studies to the page: its stages wired together, the checks before it, cards and merging."""
