"""The tuner: finds the best model for a data set within a budget."""
