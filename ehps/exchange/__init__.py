"""Forms in which other programs keep people: one module a form, listed in :mod:`ehps.exchange.forms`."""
