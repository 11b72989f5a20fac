"""What the reference says of each file of a folder, as JSON on standard output.

    read_all.py FOLDER

One line a file: {"file", "ok": true, "metadata": [[key, value]], "tensors": [{name, dtype, shape, sha256}]}, or
{"file", "ok": false, "message"}.
"""

import hashlib
import json
import pathlib
import sys

from safetensors import SafetensorError, deserialize, safe_open


def verdict(path):
    try:
        tensors = deserialize(path.read_bytes())
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
    except SafetensorError as error:
        return {"file": path.name, "ok": False, "message": str(error)}
    return {
        "file": path.name,
        "ok": True,
        # Pairs: V8 13.6 now and then reads an escaped key of one character as another.
        "metadata": list((metadata or {}).items()),
        "tensors": [
            {
                "name": name,
                "dtype": tensor["dtype"],
                "shape": list(tensor["shape"]),
                "sha256": hashlib.sha256(tensor["data"]).hexdigest(),
            }
            for name, tensor in tensors
        ],
    }


for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(json.dumps(verdict(path)))
