"""A run as pages to look at: its tables, and a browser of its cases with every method side by side."""
