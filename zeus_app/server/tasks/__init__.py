"""Requests and answers of the MONAI Label tasks."""
