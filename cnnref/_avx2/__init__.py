"""The operation modules built for the instruction set that the folder names."""
