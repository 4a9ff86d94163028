"""The suites of `zeus bench`, one YAML each."""
