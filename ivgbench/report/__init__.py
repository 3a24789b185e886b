"""Tables and figures from stored results. Importing it loads no model library."""

from ivgbench.report.tables import table

__all__ = ["table"]
