"""Kinds of networks as torch modules."""
