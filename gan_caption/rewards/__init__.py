"""Pay for sampled captions."""
