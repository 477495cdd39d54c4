"""Searches for forecasts, from the rows of a data set to what is published."""
