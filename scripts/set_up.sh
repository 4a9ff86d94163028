#!/bin/sh
# Finds Python 3.11 and runs set_up.py with it. `make setup` calls this script.
set -eu
here=$(dirname "$0")
for python in ${PYTHON:-} python3.11 python3 python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        exec "$python" "$here/set_up.py" "$@"
    fi
done
cat >&2 <<'MESSAGE'
set-up: no Python 3.11 was found (tried $PYTHON, python3.11, python3, python).
  Zeus needs exactly 3.11: monailabel needs distutils, which Python 3.12 removed, and the
  other packages no longer support 3.10.
  Debian 12:     sudo apt install python3 python3-venv
  Other systems: install Python 3.11 (your package manager, pyenv, conda), then
                 make setup PYTHON=/path/to/python3.11
MESSAGE
exit 1
