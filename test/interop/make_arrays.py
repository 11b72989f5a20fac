"""Writes arrays with numpy, and GGUF files where gguf is installed, with what they hold as safetensors.

make_arrays.py FOLDER SEED numpy|gguf: prints a JSON list of {"name", "file", "expected"}.
"""

import json
import os
import sys

import numpy as np
from safetensors.numpy import save_file

folder, seed, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
random = np.random.default_rng(seed)
SHAPES = [(), (1,), (7,), (0, 3), (3, 5), (2, 3, 4), (1, 6, 1, 5), (257, 129)]
cases = []


def case(name, ending, arrays, write):
    file = os.path.join(folder, f"{name}.data")
    expected = os.path.join(folder, f"{name}.expected.safetensors")
    plain = {
        key: np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape)
        for key, array in arrays.items()
    }
    save_file(plain, expected)
    write(f"{file}{ending}")
    os.replace(f"{file}{ending}", file)
    cases.append({"name": name, "file": file, "expected": expected})


def random_array(dtype, shape):
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    if dtype == np.bool_:
        return random.integers(0, 2, size).astype(dtype).reshape(shape)
    # Any bits, those of NaN too.
    data = random.integers(0, 256, size * dtype.itemsize, dtype=np.uint8)
    return data.view(dtype).reshape(shape)


def save_npy(array, version=None):
    def write(path):
        with open(path, "wb") as file:
            np.lib.format.write_array(file, array, version=version, allow_pickle=False)

    return write


def numpy_cases():
    codes = ["?", "i1", "u1"] + [f"{order}{code}" for order in "<>" for code in
                                 ["i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8", "c8"]]
    everything = {}
    for code in codes:
        for order in "CF":
            for i, shape in enumerate(SHAPES):
                array = np.array(random_array(code, shape), order=order)
                everything[f"{code.replace('<', 'l').replace('>', 'b')}/{order}{i}"] = array
    for name in list(everything)[:: max(1, len(everything) // 60)]:
        array = everything[name]
        for version in [(1, 0), (2, 0), (3, 0)]:
            title = f"{name.replace('/', '-').replace('?', 'bool')}-v{version[0]}"
            case(title, ".npy", {"tensor": array}, save_npy(array, version))
    view = random_array("<f4", (40, 60)).T[::2, ::3]
    everything["a view"] = view
    everything["größer ∞"] = random_array("<f8", (3,))
    everything["name.npy"] = random_array("<f8", (3,))
    case("npz", ".npz", everything, lambda path: np.savez(path, **everything))
    case("compressed", ".npz", everything, lambda path: np.savez_compressed(path, **everything))
    large = {
        "large": random.integers(0, 3, 6_000_000).astype(">f4").reshape(2000, 3000),
        "large.T": np.asfortranarray(random.integers(0, 3, (1500, 2000)).astype("<f4")),
    }
    case("large", ".npz", large, lambda path: np.savez(path, **large))
    case("large-compressed", ".npz", large, lambda path: np.savez_compressed(path, **large))


def gguf_cases():
    import gguf

    for endian in [gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG]:
        for alignment in [None, 8, 64, 4096]:
            for many in [1, 40]:
                arrays = {}
                for i in range(many):
                    for code in ["f4", "f2", "f8", "i1", "i2", "i4", "i8"]:
                        shape = SHAPES[1:][random.integers(0, len(SHAPES) - 1)][:4]
                        arrays[f"blk.{i}.{code}.weight"] = random_array(code, shape)

                def write(path):
                    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
                    writer.add_name("a name with ∞")
                    writer.add_uint32("llama.context_length", 4096)
                    writer.add_float32("llama.rope.freq_base", 0.1)
                    writer.add_float64("llama.f64", 1e300)
                    writer.add_uint64("llama.u64", 2**64 - 1)
                    writer.add_int64("llama.i64", -(2**63))
                    writer.add_int8("llama.i8", -1)
                    writer.add_bool("llama.yes", True)
                    writer.add_token_list(["a", "∞", ""] * 1000)
                    writer.add_array("llama.nested", [[1, 2], [3]])
                    writer.add_array("llama.floats", [0.5] * 7)
                    if alignment is not None:
                        writer.add_custom_alignment(alignment)
                    for name, array in arrays.items():
                        writer.add_tensor(name, array.copy())
                    bits = random.integers(0, 2**16, 12, dtype=np.uint16)
                    # The writer swaps what it knows as numbers, not raw bytes.
                    raw = bits.byteswap() if endian is gguf.GGUFEndian.BIG else bits
                    halves = raw.view(np.uint8).reshape(3, 8)
                    writer.add_tensor("bf16", halves.copy(), raw_dtype=gguf.GGMLQuantizationType.BF16)
                    arrays["bf16"] = bits.reshape(3, 4)
                    writer.write_header_to_file()
                    writer.write_kv_data_to_file()
                    writer.write_tensors_to_file()
                    writer.close()

                name = f"{endian.name}-{alignment}-{many}"
                file = os.path.join(folder, f"{name}.gguf")
                write(file)
                expected = os.path.join(folder, f"{name}.expected.safetensors")
                save_file(arrays, expected)
                cases.append({"name": name, "file": file, "expected": expected})


numpy_cases() if kind == "numpy" else gguf_cases()
print(json.dumps(cases))
