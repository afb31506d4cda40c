"""Trained captioners put to use."""
