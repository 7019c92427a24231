"""The page of a run, from its files."""
