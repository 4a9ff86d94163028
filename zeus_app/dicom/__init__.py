"""DICOM: headers, series, studies, and series as sources of voxels."""
