"""ehps: which expressive human pose and shape data is worth training on?"""

__version__ = "0.1.0"
