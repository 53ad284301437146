"""The link pages, Swagger UI and a front end of another origin in a real browser."""
