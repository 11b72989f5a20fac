"""version_of.py PACKAGE: prints the version of a package that is installed, as JSON; null if there is none."""

import importlib.metadata
import json
import sys

try:
    version = importlib.metadata.version(sys.argv[1])
except importlib.metadata.PackageNotFoundError:
    version = None
print(json.dumps(version))
