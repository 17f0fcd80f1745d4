"""Is this file right? Measures of every instance, limits on them, and what is beyond."""

from ehps.humandata.audit.findings import Audit, Flag, Limits, audit, percentiles

__all__ = ["Audit", "Flag", "Limits", "audit", "percentiles"]
