"""One's own data, labelled with a tool: files of a common form instead of a dataset's release."""

from ehps.converters.own.coco_labels import LABELS, convert_labels

__all__ = ["LABELS", "convert_labels"]
