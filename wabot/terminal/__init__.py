"""The operator's commands that talk to the running service. They need its address, its key and its data directory."""
