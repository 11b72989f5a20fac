"""Writes each set of tensors that it is given with the reference.

    write_each.py CASES OUT_DIR

CASES has a line of JSON for each: {"tensors": [[name, dtype, shape, data in base64]], "metadata"}.
File number i of OUT_DIR is what the reference makes of line number i.
"""

import base64
import ctypes
import json
import pathlib
import sys

from safetensors import TensorSpec, serialize
from write_all import DTYPES

folder = pathlib.Path(sys.argv[2])
with open(sys.argv[1], encoding="utf-8") as cases:
    for number, line in enumerate(cases):
        case = json.loads(line)
        alive = []
        specs = {}
        for name, dtype, shape, text in case["tensors"]:
            data = base64.b64decode(text)
            buffer = ctypes.create_string_buffer(data, max(len(data), 1))
            alive.append(buffer)
            if dtype == "F4":  # as a framework gives it: two elements to a byte
                shape = [*shape[:-1], shape[-1] // 2]
            specs[name] = TensorSpec(
                dtype=DTYPES[dtype][1],
                shape=shape,
                data_ptr=ctypes.addressof(buffer),
                data_len=len(data),
            )
        folder.joinpath(str(number)).write_bytes(serialize(specs, metadata=case["metadata"]))
