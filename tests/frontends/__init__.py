"""Front ends as they are: what they send at registration, and what a site needs to serve them."""
