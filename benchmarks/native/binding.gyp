{
  "target_defaults": {
    "defines": ["NAPI_VERSION=8"],
    "cflags_cc": ["-std=c++20", "-O2"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
  },
  "targets": [
    {"target_name": "take_memory", "sources": ["take_memory.cc"]},
    {
      "target_name": "memory_bound",
      "conditions": [
        # Streaming stores have intrinsics on x86-64 alone; elsewhere there is nothing to compare with.
        ["target_arch=='x64'", {"sources": ["memory_bound.cc"]}, {"type": "none"}],
      ],
    },
  ],
}
