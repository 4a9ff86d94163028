"""DICOM SEG: written, read, and matched to a target's labels."""
