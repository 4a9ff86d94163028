"""How fast Zeus is: ratios, each measured within one run, and what the others take.

    python -m benchmarks.speed              all of it, as `make bench` does
    python -m benchmarks.speed encoder step some parts again
    python -m benchmarks.speed --smoke      a look at whether each part runs; writes nothing

Results: benchmarks/results/speed.json, docs/speed.md and docs/images/speed.png. A run that was
interrupted goes on after the last part it finished, unless the code has changed since.
"""
