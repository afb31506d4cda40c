"""Greedy, sampling, beam search and rollouts, over any generator."""
