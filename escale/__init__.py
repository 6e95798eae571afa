"""Keep folders in step between machines that cannot see each other, through any storage they both reach."""

__version__ = "1.0.0"
