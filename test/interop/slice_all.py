"""What numpy and the reference take of tensors, as JSON on standard output.

    slice_all.py FILE CASES

CASES is a JSON file: [{"name", "ranges"}], a range being a number, [start, stop, step], null for all, or
"...". One line a case: {"numpy": …, "reference": …}, each {"shape", "sha256"} or {"error"}.
"""

import hashlib
import json
import sys

import ml_dtypes  # noqa: F401  numpy knows bfloat16 by it
import numpy
from safetensors import safe_open


def index_of(item):
    if item is None:
        return slice(None)
    if item == "...":
        return Ellipsis
    return slice(*item) if isinstance(item, list) else item


def taken(tensor, index):
    try:
        part = numpy.asarray(tensor[index])
    except (KeyboardInterrupt, SystemExit):
        raise
    # Not Exception: the reference panics at some ranges that take nothing ("capacity overflow"), and
    # a panic is no Exception.
    except BaseException as error:  # pylint: disable=broad-except
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "shape": list(part.shape),
        "sha256": hashlib.sha256(numpy.ascontiguousarray(part).tobytes()).hexdigest(),
    }


def main():
    path, cases = sys.argv[1:]
    with safe_open(path, framework="np") as file, open(cases, encoding="utf8") as lines:
        for case in json.load(lines):
            index = tuple(index_of(item) for item in case["ranges"])
            array = file.get_tensor(case["name"])
            print(json.dumps({
                "numpy": taken(array, index),
                "reference": taken(file.get_slice(case["name"]), index),
            }))


main()
