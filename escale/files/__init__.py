"""What the user has: trees, rules, the folder itself and the ledger of what was agreed on."""
