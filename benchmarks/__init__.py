"""What wabot can do on this machine, in one command: `python -m benchmarks [NAME …] [--quick] [--write]`."""
