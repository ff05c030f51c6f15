"""Elementary functions, rows and elements."""
