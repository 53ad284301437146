"""The ceiling: this service's own handlers and middleware, with no database asked."""
