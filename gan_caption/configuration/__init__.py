"""From the command line and YAML to objects."""
