"""One module a data set, and what reading their tables and folders shares."""
