"""Python's huggingface_hub on a cache: hub_cache.py ENDPOINT REPOSITORY CACHE ONLINE FILE...

Prints the paths of the files, as JSON; downloads them when ONLINE is 1, else takes what is there.
"""

import json
import os
import sys

endpoint, repository, cache, online, *files = sys.argv[1:]
os.environ["HF_ENDPOINT"] = endpoint
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from huggingface_hub import hf_hub_download  # noqa: E402 (it reads the environment)

paths = [
    hf_hub_download(repository, file, cache_dir=cache, local_files_only=online != "1")
    for file in files
]
print(json.dumps(paths))
