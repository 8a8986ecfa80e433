"""What can be set, where it is read from, and what is refused."""
