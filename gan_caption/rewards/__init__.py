"""Rewards of sampled captions."""
