"""Judges that are language models: behind an endpoint, or from a folder in this process."""
