"""Every argument check and error text, hyperparameters, caches and the arrays that results stand in."""
