"""What an operator can set, and how text becomes values."""
