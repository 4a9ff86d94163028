"""The public Python API: open a study, segment, click and train without a server.

`zeus_app` re-exports its names; nothing else in the package is promised to stay.
"""
