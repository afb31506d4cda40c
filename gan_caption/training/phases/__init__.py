"""The phases of a schedule: what one step of each does."""
