"""Families of forecasting models."""
