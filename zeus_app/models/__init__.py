"""What learns: projection, aligner, mask decoder; and how masks are united."""
