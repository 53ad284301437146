"""The link pages and Swagger UI in a real browser."""
