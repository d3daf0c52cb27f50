"""Rules that span several sections of a file."""
