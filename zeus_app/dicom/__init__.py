"""DICOM series and studies."""
