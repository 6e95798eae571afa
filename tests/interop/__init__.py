"""Our program and the original one on one relay, both through their command lines."""
