"""Every decoder against bytes that nobody should have written."""
