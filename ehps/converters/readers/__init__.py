"""One foreign format a module, whichever dataset it comes from: json, COCO, MATLAB, fits, images, videos, views."""

AGAIN = "download or unpack it again"
"""What to do about a file that is cut short, or is not what its ending says."""

UNPACK = "check that everything is unpacked"
"""What to do about a file that is not there."""

OTHER = "take the file of the release that `ehps datasets ID` describes"
"""What to do about a whole file with other contents than are known."""
