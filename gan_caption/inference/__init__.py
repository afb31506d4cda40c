"""Trained runs in use: captioning photographs, the web page, exporting."""
