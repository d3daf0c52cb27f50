"""The final step: test data is opened once, for chosen settings on fresh seeds."""
