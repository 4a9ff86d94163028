"""A task's process that imports nothing large, does nothing and answers with its request."""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    (folder / "outcome.json").write_text(json.dumps({"result": request}), encoding="utf-8")
