"""What a sweep would do, and what it would cost."""
