"""Columns that a model does not need."""
