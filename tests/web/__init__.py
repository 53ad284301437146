"""What happens around every endpoint."""
