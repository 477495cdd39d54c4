"""Small networks that learn what a model of any kind says."""
