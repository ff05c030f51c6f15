"""The command line: a command a file, with its options."""
