"""What measures a trained policy."""
