"""DICOM SEGs that users stored in the PACS: found, read, and taken as final labels."""
