"""`python -m tests.load` measures how fast the service and its alternatives are, on one machine in one run."""
