"""What the reference says of files that come over standard input, for as long as they come.

    verdicts.py FILE

In: batches of a count and so many files, each a length and the bytes; numbers are u32, little-endian.
Out: for each file a line of JSON, as read_all.py prints it but for the file's name. FILE is written
again and again, for what only reads paths: best where it stays in memory.
"""

import hashlib
import json
import struct
import sys

from safetensors import SafetensorError, deserialize, safe_open

SCRATCH = sys.argv[1]
INPUT = sys.stdin.buffer


def number():
    head = INPUT.read(4)
    return struct.unpack("<I", head)[0] if len(head) == 4 else None


def metadata_of(content):
    with open(SCRATCH, "wb") as file:
        file.write(content)
    with safe_open(SCRATCH, framework="np") as file:
        return file.metadata() or {}


def reading(content):
    tensors = deserialize(content)
    return {
        "ok": True,
        "metadata": metadata_of(content),
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


def verdict(content):
    try:
        return reading(content)
    except SafetensorError as error:
        return {"ok": False, "message": str(error)}
    except (KeyboardInterrupt, SystemExit):
        raise
    # A panic of the reference is no Exception; and whatever else it raises is a refusal, too.
    except BaseException as error:  # pylint: disable=broad-except
        return {"ok": False, "message": f"{type(error).__name__}: {error}"}


while (count := number()) is not None:
    for content in [INPUT.read(number()) for _ in range(count)]:
        print(json.dumps(verdict(content)))
    sys.stdout.flush()
