"""Forests and boosting with fewer trees, and trees with fewer nodes."""
