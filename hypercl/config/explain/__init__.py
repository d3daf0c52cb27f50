"""What a key means: its sentence, type, default, bounds and source; the JSON schema."""
