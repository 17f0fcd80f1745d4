"""From results to findings: rankings, what explains them, what datasets contain, what to train on, and a report.

Everything takes and returns DataFrames and matplotlib Figures; it needs no run folder and no model. Import what you
use: ``ranking``, ``published``, ``tables``, ``rank_factors``, ``attributes``, ``selection``, ``curves``,
``html_report``.
"""
