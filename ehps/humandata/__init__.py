"""The unified annotation format: columns, schema, storage, keypoint conventions, boxes, drawing."""

from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from ehps.humandata.strings import Strings

__all__ = ["HumanData", "Passport", "Strings"]
