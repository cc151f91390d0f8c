"""Requests in, answers out: the frames, and the two ways of serving them."""
