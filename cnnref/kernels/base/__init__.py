"""Types, instruction set, memory and register blocks: what every kernel shares."""
