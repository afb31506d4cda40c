"""The embedded data set: drawings of simple objects, described by a grammar whose probabilities are known."""
