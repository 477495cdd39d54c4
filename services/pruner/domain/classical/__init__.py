"""Estimators of scikit-learn and LightGBM that become smaller and stay what they are."""
