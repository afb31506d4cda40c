"""Faster twins of plain layers."""
