"""`python run.py doctor`: checks everything that wabot depends on, and names a remedy for each problem."""
