"""What the owner wrote for the model: read from files, searched, and put into the prompt of each reply."""
