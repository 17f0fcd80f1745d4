"""Is this file right? Measures of every instance, limits on them, and what is beyond."""

from ehps.humandata.audit.findings import Audit, Flag, audit, limits_with, percentiles

__all__ = ["Audit", "Flag", "audit", "limits_with", "percentiles"]
