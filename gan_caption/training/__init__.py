"""The loop, its phases, checkpoints, tracking."""
