"""`zeus hospital`: a PACS with phantoms, Zeus and OHIF, all on this machine."""
