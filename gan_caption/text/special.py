"""The ids of the special tokens, whatever the tokenizer."""

PAD, BOS, UNK, EOS = 0, 1, 2, 3
"""Padding, the beginning (never stored), what is unknown, and the end; everything from `EOS` on may be written."""
