"""Forecasters that skops files may hold. statsforecast and LightGBM are imported where needed."""
