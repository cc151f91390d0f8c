"""Which files there are, and where something stands in them."""
