"""DICOMweb: the client of a PACS, the service for viewers, and the proxy."""
