"""Reading what may be hostile."""
