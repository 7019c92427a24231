"""One module per data set, and what reading their tables and folders shares."""
