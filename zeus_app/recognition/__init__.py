"""Recognise an image by its name: the MR sequence that it shows, or that it is a mask."""
