"""Critics of (image, caption) pairs."""
