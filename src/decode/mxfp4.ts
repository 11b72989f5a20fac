import { checkObject, checkSignal } from '../arguments.ts';
import { native } from '../native.ts';
import type { DecodeMxfp4Call } from '../native-kernels.ts';
import { type CheckedTensor, checkTensors, loadAll, type TensorLike } from '../write/inputs.ts';
import { atOnce } from '../write/steps.ts';
import { checkDtype } from './block-scaled.ts';
import { kernelSet } from './kernels.ts';
import { type DecodeOptions, PIECE_ELEMENTS, runLanes } from './lanes.ts';
import { bytesOf, checkTarget, decodeError, resultsOf, type Target } from './memory.ts';

/** Of OCP Microscaling Formats (MX) v1.0: numbers of F4 that share a scale. */
const BLOCK_ELEMENTS = 32;
const BLOCK_BYTES = 16;

export interface Mxfp4Options {
  /** Where the results go: 32 elements for each scale. */
  readonly out?: Float32Array | undefined;
}

export interface Mxfp4AsyncOptions extends Mxfp4Options, DecodeOptions {}

/**
 * MXFP4 as gpt-oss stores it, as F32: 32 F4 of a block, two in a byte and the first in its lower half,
 * times 2^(scale - 127); a scale of 255 makes all of them NaN, as OCP Microscaling Formats (MX) v1.0
 * has it.
 *
 * The layout is that of `gpt_oss/torch/weights.py` in openai/gpt-oss, and of
 * `convert_moe_packed_tensors` in Hugging Face's transformers, which also swaps the last two
 * dimensions of the result.
 *
 * @param blocks `[…, G, 16]` of U8 (`gate_up_proj_blocks`, `down_proj_blocks`)
 * @param scales `[…, G]` of U8 or F8_E8M0 (`gate_up_proj_scales`, `down_proj_scales`)
 * @returns `out` or a new array: `[…, 32 * G]` in C order
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE for other dtypes; CLOSED
 * @throws {RangeError} for shapes that do not fit together, or another `out`
 * @throws {TypeError}
 */
export function decodeMxfp4(
  blocks: TensorLike,
  scales: TensorLike,
  options: Mxfp4Options = {},
): Float32Array {
  const plan = makePlan(blocks, scales, options, false);
  const addon = native();
  try {
    for (const call of calls(plan)) addon.decodeMxfp4(...call);
  } catch (error) {
    throw decodeError(error, plan.blocks.source.path);
  }
  return plan.target.memory;
}

/** As {@link decodeMxfp4}, on other threads: see {@link Tensor.toFloat32Async}. */
export async function decodeMxfp4Async(
  blocks: TensorLike,
  scales: TensorLike,
  options: Mxfp4AsyncOptions = {},
): Promise<Float32Array> {
  const checked = makePlan(blocks, scales, options, true);
  const { signal } = options;
  checkSignal(signal);
  const loading = loadAll([checked.blocks, checked.scales], signal);
  const [loadedBlocks, loadedScales] = loading ? await loading : [checked.blocks, checked.scales];
  const plan = { ...checked, blocks: loadedBlocks, scales: loadedScales };
  const addon = native();
  await runLanes(calls(plan), (call) => addon.decodeMxfp4Async(...call), { signal }).catch(
    (error: unknown) => {
      throw decodeError(error, plan.blocks.source.path);
    },
  );
  return plan.target.memory;
}

interface Plan {
  readonly blocks: CheckedTensor;
  readonly scales: CheckedTensor;
  readonly target: Target;
}

function makePlan(
  blocksLike: TensorLike,
  scalesLike: TensorLike,
  options: Mxfp4Options,
  asynchronous: boolean,
): Plan {
  const [blocks, scales] = atOnce(
    checkTensors(
      new Map([
        ['blocks', blocksLike],
        ['scales', scalesLike],
      ]),
    ),
  );
  checkObject(options, 'options');
  checkDtype(blocks, ['U8']);
  checkDtype(scales, ['U8', 'F8_E8M0']);
  const wanted = [...scales.shape, BLOCK_BYTES];
  if (
    scales.shape.length === 0 ||
    wanted.length !== blocks.shape.length ||
    wanted.some((n, i) => n !== blocks.shape[i])
  ) {
    throw new RangeError(
      `blocks, scales: expected shapes […, groups, ${BLOCK_BYTES}] and […, groups], ` +
        `found [${blocks.shape.join(', ')}] and [${scales.shape.join(', ')}]`,
    );
  }
  const target = checkTarget(options.out, BLOCK_ELEMENTS * scales.byteLength, asynchronous);
  return { blocks, scales, target };
}

function* calls({ blocks, scales, target }: Plan): Generator<DecodeMxfp4Call, void, undefined> {
  const kernels = kernelSet();
  const most = PIECE_ELEMENTS / BLOCK_ELEMENTS;
  for (let begin = 0; begin < scales.byteLength; begin += most) {
    const end = Math.min(begin + most, scales.byteLength);
    const packed = bytesOf(blocks.source, BLOCK_BYTES * begin, BLOCK_BYTES * end);
    const exponents = bytesOf(scales.source, begin, end);
    const [first, last] = [BLOCK_ELEMENTS * begin, BLOCK_ELEMENTS * end];
    const results = resultsOf(target, first, last, [packed, exponents]);
    yield [kernels, packed, exponents, results, target.large];
  }
}
