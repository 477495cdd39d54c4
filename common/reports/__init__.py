"""HTML reports: one self-contained page of facts, plots and tables."""
