"""Commands of a run: its stages, its recipe, its model."""
