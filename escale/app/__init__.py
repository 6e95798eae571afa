"""Putting the parts together: sections, the loop, the service around it."""
