"""Matrix products of windows with packed filters."""
