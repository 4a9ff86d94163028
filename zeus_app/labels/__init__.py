"""All of labels: files, checks, submission, versions, import, predictions, and pictures."""
