#!/bin/sh
# `make quick`: lint, types and the fast tests, side by side on two cores. The tests listed here need
# no server, no weights and no sample studies; tests/test_repository.py counts them.
set -u
cd "$(dirname "$0")/.." || exit 1
TESTS="tests/dicom tests/settings tests/studies tests/targets tests/volumes tests/weights
    tests/instructions/test_templates.py tests/test_architecture.py tests/test_errors.py
    tests/test_metrics.py tests/test_prose.py tests/test_types.py"
# Building whole networks to count their parameters takes seconds.
LEFT_OUT="as_many_parameters"

if [ ! -x .venv/bin/pytest ] || [ ! -x .venv/bin/mypy ]; then
    echo "quick: .venv is missing or incomplete; run 'make setup' once, then 'make quick' again" >&2
    exit 1
fi
types=$(mktemp)
trap 'rm -f "$types"' EXIT
.venv/bin/mypy >"$types" 2>&1 &
mypy=$!
failed=""
.venv/bin/ruff check --quiet . || failed="$failed ruff-check"
.venv/bin/ruff format --quiet --check . || failed="$failed ruff-format"
# Without weights and without the pytest plugins that other packages bring.
ZEUS_WEIGHTS=/nonexistent PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 OMP_NUM_THREADS=1 \
    .venv/bin/python -m pytest -q -p pytest_timeout -p _hypothesis_pytestplugin \
    -m "not slow and not real" -k "not $LEFT_OUT" "$@" $TESTS || failed="$failed tests"
wait "$mypy" || failed="$failed mypy"
cat "$types"
[ -z "$failed" ] || { echo "quick: failed:$failed" >&2; exit 1; }
