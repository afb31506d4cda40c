"""The ids of the special tokens, which every tokenizer shares."""

PAD, BOS, UNK, EOS = 0, 1, 2, 3
"""Padding, the beginning (never stored), an unknown word and the end; the words of a vocabulary follow."""
