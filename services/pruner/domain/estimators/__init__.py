"""Estimators of scikit-learn, and those that hold others, become smaller."""
