"""HTTP: declarations of endpoints, authentication, bodies and queries, responses, paging, CORS."""
