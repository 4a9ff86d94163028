"""The way of a study: the segmenter, the model of the paper, and its instructor."""
