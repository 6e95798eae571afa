"""Where bytes rest: blob stores, all with the same verbs."""
