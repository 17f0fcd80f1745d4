"""What runs a converter: read units in parallel, complete their rows, validate, write parts, join them, report."""

from ehps.converters.pipeline.conversion import convert

__all__ = ["convert"]
