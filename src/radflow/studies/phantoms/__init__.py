"""Drawn images with known anatomy: chest radiographs from MeSH tags, carotid ultrasound from measurements."""
