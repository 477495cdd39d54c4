"""Forecasts: how one or many series go on."""
