"""The tests of Zeus. A package, so that the `tests` monailabel installs is never taken for ours."""
