"""Policies over words: start, step, score."""
