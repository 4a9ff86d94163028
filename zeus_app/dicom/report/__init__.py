"""DICOM SR: measurements and instructions of a study."""
