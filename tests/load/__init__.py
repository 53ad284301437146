"""`python -m tests.load`: how fast the service is, beside what else could be picked, on one machine in one run."""
