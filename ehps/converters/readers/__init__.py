"""One foreign format a module, whichever dataset it comes from: json, COCO, MATLAB, fits, images, videos, views."""
