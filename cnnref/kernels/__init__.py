"""What the operations are computed with: see README.md here for the map."""
