"""Splits models into shards as huggingface_hub does.

split.py CASES: a JSON file with a list of {"sizes": [[name, bytes], ...], "max": size, "metadata": {...}}.
Prints a JSON list: {"files": {file: [name, ...]}, "sharded": bool, "index": text of the index}.
"""

import io
import json
import sys

from huggingface_hub import constants
from huggingface_hub.serialization import split_state_dict_into_shards_factory


def split(case):
    result = split_state_dict_into_shards_factory(
        dict(case["sizes"]),
        get_storage_size=lambda size: size,
        filename_pattern=constants.SAFETENSORS_WEIGHTS_FILE_PATTERN,
        max_shard_size=case["max"],
    )
    # As save_torch_state_dict writes it.
    index = {
        "metadata": {**result.metadata, **case["metadata"]},
        "weight_map": result.tensor_to_filename,
    }
    text = io.StringIO()
    json.dump(index, text, indent=2)
    return {
        "files": result.filename_to_tensors,
        "sharded": result.is_sharded,
        "index": text.getvalue(),
    }


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps([split(case) for case in json.load(file)]))
