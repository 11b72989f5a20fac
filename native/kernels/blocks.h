// Formats in which a block of numbers shares a scale.
#pragma once

#include "kernels/kernels.h"

namespace safetensors {

// Rows of a matrix, cut into tiles that have an F32 each; the last tile of a row or a column may be
// cut short. `rows` begin with a row of tiles.
struct Tiles {
  size_t columns;
  size_t tile_rows;
  size_t tile_columns;

  size_t across() const { return columns / tile_columns + (columns % tile_columns != 0); }
};

// target[row, column] = weights[row, column] * scales[row / tile_rows, column / tile_columns].
// `format` has a scaled kernel, and `columns` are a multiple of its group.
void DecodeTiles(const KernelSet& kernels, Format format, const std::byte* weights,
                 const float* scales, float* target, size_t rows, const Tiles& tiles,
                 Stores stores);

// MXFP4 as OCP Microscaling Formats (MX) v1.0 defines it: 32 F4 share an F8_E8M0. As gpt-oss stores
// it (gpt_oss/torch/weights.py of openai/gpt-oss; convert_moe_packed_tensors of Hugging Face's
// transformers), the 16 bytes of a block hold two numbers each, the first in the lower half.
void DecodeMxfp4(const KernelSet& kernels, const std::byte* blocks, const std::byte* scales,
                 float* target, size_t count, Stores stores);

}  // namespace safetensors
