"""Captions, images, vocabulary, feature cache and batches."""
