"""Trained runs in use: captioning photographs, exporting, the web page."""
