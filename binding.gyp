{
  "targets": [
    {
      "target_name": "safetensors_mmap",
      "sources": [
        "native/addon.cc",
        "native/binding_buffer.cc",
        "native/binding_direct.cc",
        "native/binding_file.cc",
        "native/binding_gather.cc",
        "native/binding_guard.cc",
        "native/binding_hold.cc",
        "native/binding_names.cc",
        "native/binding_kernels.cc",
        "native/binding_output.cc",
        "native/binding_pages.cc",
        "native/binding_range.cc",
        "native/binding_weak.cc",
        "native/core/direct_output_posix.cc",
        "native/core/fault_guard_posix.cc",
        "native/core/file_posix.cc",
        "native/core/file_system_posix.cc",
        "native/core/gather.cc",
        "native/core/guarded_ranges.cc",
        "native/core/in_order_posix.cc",
        "native/core/mapping_posix.cc",
        "native/core/memory_posix.cc",
        "native/core/name_index.cc",
        "native/core/output_posix.cc",
        "native/core/page_in_job_posix.cc",
        "native/core/previous_handler_posix.cc",
        "native/core/residency_posix.cc",
        "native/core/runs.cc",
        "native/core/system_number_posix.cc",
        "native/core/taking_up.cc",
        "native/core/text.cc",
        "native/core/unmap_posix.cc",
        "native/kernels/blocks.cc",
        "native/kernels/decode_avx2.cc",
        "native/kernels/decode_avx512.cc",
        "native/kernels/decode_neon.cc",
        "native/kernels/decode_scalar.cc",
        "native/kernels/dispatch.cc",
        "native/kernels/encode_avx2.cc",
        "native/kernels/encode_neon.cc",
        "native/older_glibc.cc",
      ],
      "include_dirs": ["native"],
      "defines": [
        # Node-API 8 is in every Node this package runs on, so that one binary serves them all.
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        # No C++ exception ever crosses Node-API: node-addon-api reports through pending JS errors.
        "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "_FILE_OFFSET_BITS=64",
      ],
      "cflags_cc": [
        "-std=c++20",
        "-O2",
        "-fvisibility=hidden",
        "-ffunction-sections",
        "-fdata-sections",
        # -isystem: warnings are for our code. native/gyp.cjs makes them errors in a checkout only,
        # so that a newer compiler does not break somebody's install.
        "-isystem<!(node native/gyp.cjs include)",
        "<!@(node native/gyp.cjs warnings)",
      ],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "conditions": [
        [
          "OS=='linux'",
          {
            # The C++ runtime goes inside, so that the prebuilt binary loads where it is older; its
            # symbols are hidden, so that what is not used goes, and with it needs for a newer glibc.
            # libgcc stays outside: inside it needs glibc 2.35, and Node itself loads it anyway.
            # Never unloaded, not even with the last thread that uses it: its signal handler stays.
            "ldflags": [
              "-static-libstdc++",
              "-Wl,--exclude-libs,ALL",
              "-Wl,--gc-sections",
              "-Wl,-z,nodelete",
            ],
          },
        ],
        [
          "OS=='mac'",
          {
            "xcode_settings": {
              "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
              "MACOSX_DEPLOYMENT_TARGET": "11.0",
              "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
              "OTHER_CPLUSPLUSFLAGS": [
                "-isystem<!(node native/gyp.cjs include)",
                "<!@(node native/gyp.cjs warnings)",
              ],
            },
          },
        ],
      ],
    }
  ]
}
