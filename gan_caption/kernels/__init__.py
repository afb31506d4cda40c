"""Faster twins of plain layers; `plain()` switches all of them off. See README.md beside this file."""

from gan_caption.kernels.switch import plain

__all__ = ["plain"]
