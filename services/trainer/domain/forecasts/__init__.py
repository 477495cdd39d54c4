"""Forecasts: what is asked for, windows of series, scaling, losses and metrics."""
