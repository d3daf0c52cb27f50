"""Leading settings compared on further seeds."""
