"""Inline SVG: lines, histograms, forest plots, strips."""
