"""Automatic machine learning: plain synchronous Python, no grpc."""
