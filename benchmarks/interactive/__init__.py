"""DSC against the number of clicks, by a simulated user, on slices (2-D) and volumes (3-D).

    ZEUS_REAL_DATA=<dir> python -m benchmarks.interactive --target abdomen --dimensions 2

No training is involved. The first click goes to the middle of the object, each next one to the
middle of the largest error (`zeus_app.prompts.simulation`). In 2-D, each sequence answers alone,
and all of them together; LiteMedSAM's decoder with bare points and with the true boxes is measured
beside. In 3-D, the whole volume is the object, and all sequences answer. Each scene starts with an
empty cache of embeddings, so that its first click is a cold one. Results:
benchmarks/results/interactive.json, the tables and the plot in docs/interactive.md. A row that
exists is not measured again. To compare another click method, add it to `methods.METHODS`.
"""
