"""What a run and a sweep are: one pydantic model for each section of a file."""
