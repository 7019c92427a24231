"""A run from studies to the page: its stages wired together, what is looked at before, what is shared."""
