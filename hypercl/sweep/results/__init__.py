"""The files, tables and texts that a sweep leaves."""
