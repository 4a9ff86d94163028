"""Results of a study as DICOM SEG and SR: made, stored, listed, sent to a PACS."""
