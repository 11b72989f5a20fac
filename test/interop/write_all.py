"""Writes safetensors files with every dtype, and a manifest of what Python says they hold.

    write_all.py OUT_DIR [--seed N] [--full]

The files of test/fixtures/interop are those of the default seed, without --full. Each file is read
back by the reference before it goes into the manifest, whoever wrote it.
"""

import argparse
import hashlib
import json
import pathlib
import random

import ml_dtypes
import numpy as np
import safetensors
from safetensors import TensorSpec, deserialize, safe_open, serialize_file
from safetensors.numpy import save_file

# dtype of the format: (bits, name in the reference's writer, numpy's dtype if it has one).
DTYPES = {
    "BOOL": (8, "bool", np.bool_),
    "F4": (4, "float4_e2m1fn_x2", None),
    "F6_E2M3": (6, None, None),  # read by the reference, but not written
    "F6_E3M2": (6, None, None),
    "U8": (8, "uint8", np.uint8),
    "I8": (8, "int8", np.int8),
    "F8_E5M2": (8, "float8_e5m2", ml_dtypes.float8_e5m2),
    "F8_E4M3": (8, "float8_e4m3fn", ml_dtypes.float8_e4m3fn),
    "F8_E8M0": (8, "float8_e8m0fnu", ml_dtypes.float8_e8m0fnu),
    "F8_E4M3FNUZ": (8, "float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": (8, "float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz),
    "I16": (16, "int16", np.int16),
    "U16": (16, "uint16", np.uint16),
    "F16": (16, "float16", np.float16),
    "BF16": (16, "bfloat16", ml_dtypes.bfloat16),
    "I32": (32, "int32", np.int32),
    "U32": (32, "uint32", np.uint32),
    "F32": (32, "float32", np.float32),
    "C64": (64, "complex64", np.complex64),
    "F64": (64, "float64", np.float64),
    "I64": (64, "int64", np.int64),
    "U64": (64, "uint64", np.uint64),
}

# What numbers in a manifest are the numbers of: the elements of `data` here, one by one.
NUMBERS = {
    "BOOL": "<u1", "U8": "<u1", "I8": "<i1", "I16": "<i2", "U16": "<u2", "I32": "<i4",
    "U32": "<u4", "I64": "<i8", "U64": "<u8", "F32": "<f4", "F64": "<f8",
    "C64": "<f4",  # real and imaginary part in turn
    "F16": "<u2", "BF16": "<u2",  # bits
}  # fmt: skip
SHOWN_NUMBERS = 4

# U+FF5E sorts before U+1F600 in UTF-8 and after it in UTF-16.
NAMES = [
    "", " ", "__proto__", "constructor", "toString", "10", "9", "a.b.c", "quo\"te\\", "line\nfeed",
    "\x00", "\x7f", "é", "e\u0301", "重み", "\uff5e", "\U0001f600", "\ufffd", "\u2028", "\U0010ffff",
]  # fmt: skip
METADATA = {"schlüssel \U0001f511": "värde \"\\\n\u2028"}


class Source:
    """Random bytes, the same for the same seed in every version of Python (numpy's may change)."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def tensor(self, dtype, shape):
        length = int(np.prod(shape, dtype=np.int64)) * DTYPES[dtype][0] // 8
        data = self.random.randbytes(length)
        if dtype == "BOOL":  # numpy's are 0 and 1
            data = bytes(byte & 1 for byte in data)
        return {"dtype": dtype, "shape": list(shape), "data": data}


def shapes(dtype, full):
    """A scalar, a dimension of zero, and one to four dimensions; whole bytes."""
    whole = 4 if DTYPES[dtype][0] < 8 else 1
    small = {
        "scalar": [] if whole == 1 else [whole],
        "zero": [2, 0, whole],
        "four": [2, 1, 3, whole],
    }
    if not full:
        return small
    return {**small, "none": [0], "vector": [whole * 5000], "matrix": [3, whole * 2]}


def numpy_array(tensor):
    array = np.frombuffer(tensor["data"], dtype=DTYPES[tensor["dtype"]][2])
    return array.reshape(tensor["shape"])


def write_with_numpy(path, tensors, metadata):
    save_file({name: numpy_array(t) for name, t in tensors.items()}, path, metadata=metadata)


def write_with_specs(path, tensors, metadata):
    alive = {name: np.frombuffer(t["data"], np.uint8) for name, t in tensors.items()}
    specs = {}
    for name, tensor in tensors.items():
        shape = list(tensor["shape"])
        if tensor["dtype"] == "F4":  # as a framework gives it: two elements to a byte
            shape[-1] //= 2
        data = alive[name]
        writer_name = DTYPES[tensor["dtype"]][1]
        specs[name] = TensorSpec(
            dtype=writer_name, shape=shape, data_ptr=data.ctypes.data, data_len=data.nbytes
        )
    serialize_file(specs, path, metadata=metadata)


def write_by_hand(path, tensors, metadata, *, data_start_modulo_8=0, order=None):
    """Any dtype, at any alignment, with the header's entries in any order."""
    entries = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + len(tensor["data"])
        entries[name] = {
            "dtype": tensor["dtype"], "shape": tensor["shape"], "data_offsets": [begin, end]
        }  # fmt: skip
    if order is not None:
        entries = {name: entries[name] for name in order}
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * ((data_start_modulo_8 - len(header)) % 8)
    data = b"".join(tensor["data"] for tensor in tensors.values())
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def numbers(tensor):
    array = np.frombuffer(tensor["data"], NUMBERS[tensor["dtype"]])[:SHOWN_NUMBERS]
    # As text: exact whatever reads the manifest, NaN and 64-bit integers included.
    return [repr(number) for number in array.tolist()]


def described(path, tensors, metadata):
    """The manifest's entry of a file, once the reference has read back what was written."""
    read = {name: tensor for name, tensor in deserialize(path.read_bytes())}
    assert read.keys() == tensors.keys(), path
    for name, tensor in tensors.items():
        assert read[name]["dtype"] == tensor["dtype"], (path, name)
        assert list(read[name]["shape"]) == tensor["shape"], (path, name)
        assert bytes(read[name]["data"]) == tensor["data"], (path, name)
    with safe_open(path, framework="np") as file:
        assert file.metadata() == metadata, path
        offset_keys = file.offset_keys()
    # The order among tensors without bytes changes from run to run there.
    filled = [name for name in offset_keys if tensors[name]["data"]]
    empty = sorted(name for name in offset_keys if not tensors[name]["data"])
    return {
        "file": path.name,
        "metadata": metadata or {},
        # In the order of their data; those without any stand last, by name.
        "tensors": [tensor_entry(name, tensors[name]) for name in filled + empty],
    }


def tensor_entry(name, tensor):
    entry = {
        "name": name,
        "dtype": tensor["dtype"],
        "shape": tensor["shape"],
        "sha256": hashlib.sha256(tensor["data"]).hexdigest(),
    }
    if tensor["dtype"] in NUMBERS:
        entry["numbers"] = numbers(tensor)
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="more and longer tensors")
    options = parser.parse_args()
    source = Source(options.seed)

    def every_shape(dtypes):
        return {
            f"{dtype} {label}": source.tensor(dtype, shape)
            for dtype in dtypes
            for label, shape in shapes(dtype, options.full).items()
        }

    by_numpy = [dtype for dtype, (_, _, array) in DTYPES.items() if array is not None]
    by_writer = [dtype for dtype, (_, writer_name, _) in DTYPES.items() if writer_name]
    names = {
        name: source.tensor(dtype, [3])
        for name, dtype in zip(NAMES, [d for d in by_numpy for _ in range(2)])
    }
    specs = {dtype: source.tensor(dtype, [2, 4]) for dtype in by_writer}
    shuffled = every_shape(DTYPES)
    order = sorted(shuffled, key=lambda _: source.random.random())
    # One after another from an odd byte on: whatever is longer than a byte is misaligned somewhere.
    odd = {f"{dtype} {i}": source.tensor(dtype, [4 + i]) for i in ((0, 4) if options.full else (0,)) for dtype in DTYPES}
    odd = {"one byte": source.tensor("U8", [1]), **odd}

    files = {
        "numpy.safetensors": (write_with_numpy, every_shape(by_numpy), METADATA, {}),
        "specs.safetensors": (write_with_specs, specs, None, {}),
        "names.safetensors": (write_with_numpy, names, METADATA, {}),
        "shuffled.safetensors": (write_by_hand, shuffled, None, {"order": order}),
        "misaligned.safetensors": (write_by_hand, odd, METADATA, {"data_start_modulo_8": 2}),
        "empty.safetensors": (write_with_numpy, {}, METADATA, {}),
    }
    options.out_dir.mkdir(parents=True, exist_ok=True)
    described_files = []
    for name, (write, tensors, metadata, how) in files.items():
        path = options.out_dir / name
        write(path, tensors, metadata, **how)
        described_files.append(described(path, tensors, metadata))
    manifest = {
        "safetensors": safetensors.__version__,
        "seed": options.seed,
        "files": described_files,
    }
    text = json.dumps(manifest, separators=(",", ":"))
    (options.out_dir / "manifest.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
