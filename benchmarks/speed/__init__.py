"""The speed of Zeus: ratios, each measured within one run, and the times of other programs.

    python -m benchmarks.speed              all parts, as `make bench` does
    python -m benchmarks.speed encoder step only these parts
    python -m benchmarks.speed --smoke      run each part in a tiny size; writes nothing

Results: benchmarks/results/speed.json, docs/speed.md and docs/images/speed.png. An
interrupted run continues after its last finished part, unless the code has changed since.
"""
