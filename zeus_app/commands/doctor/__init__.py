"""`zeus doctor`: what is installed, what is wrong with it, and what to do.

Its modules import the standard library alone at their top. So they also run where packages are
missing or broken; `python -m zeus_app.commands.doctor` needs no package at all.
"""
