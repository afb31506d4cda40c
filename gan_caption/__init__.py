"""Adversarial image captioning, measured against its maximum-likelihood baseline."""

__version__ = "0.1.0"
