"""Two systems on the same studies: which is better, and how sure that is."""
