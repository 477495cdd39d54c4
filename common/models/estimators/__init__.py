"""Estimators of our own that skops files may hold."""
