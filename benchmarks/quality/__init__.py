"""Quality of masks on real MRI, cross-validated by patient, for one idea after another.

    ZEUS_REAL_DATA=<dir> python -m benchmarks.quality abdomen --name readout --set decoder=readout

An idea is a set of settings with a name. For each fold, the idea's model trains for a given time on
the fold's training patients, in this process and without a server. Then the patients of the fold,
which it never saw, are judged at 256×256 px: DSC, lesion-wise F1 and surface distance of each
label. Results: benchmarks/results/quality.json and the tables in docs/quality.md. A run that exists
is not run again.
"""
