"""From a data set to a manifest: look at each study, note what became of it, and count."""
