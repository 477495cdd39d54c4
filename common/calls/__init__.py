"""Calls to other services, as clients make them."""
