"""Typed network specifications and the modules they stand for."""
