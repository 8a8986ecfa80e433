"""`python run.py doctor`: asks all that wabot depends on how it is, and says what to do where something is wrong."""
