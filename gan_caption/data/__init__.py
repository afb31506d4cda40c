"""Captions, images, feature cache and batches."""
