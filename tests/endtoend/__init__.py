"""The product as its users meet it: the command line, real processes, real servers."""
