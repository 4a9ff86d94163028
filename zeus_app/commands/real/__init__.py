"""`zeus real`: the server loop on real MRI, scored on patients held back from training."""
