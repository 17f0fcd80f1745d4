"""One foreign format a module, whichever dataset it comes from: json, COCO, MATLAB, fits, images, videos, views."""

AGAIN = "download or unpack it again"
"""What to do about a file that is missing or damaged."""
