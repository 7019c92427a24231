"""Groups of reports from one prefill, and greedy ones."""
