"""The configuration file: one key table, two spellings."""
