"""Image -> ImageFeatures."""
