"""From YAML text to validated models, with the file and line of every key."""
