"""Commands that score reports, or compare scored ones."""
