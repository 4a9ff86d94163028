"""Output of the benchmarks: JSON in results/, and tables between two marks of a page in docs/."""

from pathlib import Path

from zeus_app.reporting.marked_pages import replace_between_marks, table

__all__ = ["RESULTS", "replace_between_marks", "table"]
RESULTS = Path(__file__).parent / "results"
