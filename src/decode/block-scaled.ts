import { inspect } from 'node:util';
import { checkObject, checkSignal } from '../arguments.ts';
import type { Dtype } from '../dtypes.ts';
import { SafetensorsError } from '../errors.ts';
import { fillsBytes } from '../layout.ts';
import { native } from '../native.ts';
import type { DecodeTilesCall } from '../native-kernels.ts';
import { type CheckedTensor, checkTensors, loadAll, type TensorLike } from '../write/inputs.ts';
import { atOnce } from '../write/steps.ts';
import { kernelFormat, kernelSet } from './kernels.ts';
import { type DecodeOptions, PIECE_ELEMENTS, runLanes } from './lanes.ts';
import { bytesOf, checkTarget, decodeError, resultsOf, type Target } from './memory.ts';
import { type Encoded, toFloat32, toFloat32Async } from './to-float32.ts';

const WEIGHTS: readonly Dtype[] = ['F8_E4M3', 'F8_E5M2', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'F4'];
const SCALES: readonly Dtype[] = ['F32', 'F16', 'BF16', 'F8_E8M0', 'F8_E4M3'];

/** Of DeepSeek-V3 (`weight_block_size` in its config.json). */
const DEFAULT_BLOCK_SIZE = [128, 128] as const;

export interface BlockScaledOptions {
  /** Rows and columns of the weight that share a scale; [128, 128] by default. */
  readonly blockSize?: readonly [rows: number, columns: number] | undefined;
  /** Where the results go: as many elements as the weight has. */
  readonly out?: Float32Array | undefined;
}

export interface BlockScaledAsyncOptions extends BlockScaledOptions, DecodeOptions {}

/**
 * A weight of small floats times the scales of its blocks, as F32:
 * `weight[r, c] * scale[floor(r / rows), floor(c / columns)]`, each product rounded once.
 *
 * This is how DeepSeek-V3 stores FP8: `weight` (F8_E4M3) and `weight_scale_inv` (F32), which despite
 * its name is multiplied by (`weight_dequant` in inference/kernel.py of deepseek-ai/DeepSeek-V3). MX
 * formats in dtypes of their own, such as F4 with F8_E8M0, are the same with a `blockSize` of [1, 32].
 *
 * @param weight `[…, R, C]` of F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ or F4
 * @param scale `[…, ceil(R / rows), ceil(C / columns)]` of F32, F16, BF16, F8_E8M0 or F8_E4M3
 * @returns `out` or a new array: the weight's elements in C order
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE for other dtypes; CLOSED
 * @throws {RangeError} for shapes that do not fit together, or another `out`
 * @throws {TypeError}
 */
export function decodeBlockScaled(
  weight: TensorLike,
  scale: TensorLike,
  options: BlockScaledOptions = {},
): Float32Array {
  const checked = makePlan(weight, scale, options, false);
  const plan = { ...checked, scales: toFloat32(encodedScale(checked)) };
  const addon = native();
  try {
    for (const call of calls(plan)) addon.decodeTiles(...call);
  } catch (error) {
    throw decodeError(error, plan.weight.source.path);
  }
  return plan.target.memory;
}

/** As {@link decodeBlockScaled}, on other threads: see {@link Tensor.toFloat32Async}. */
export async function decodeBlockScaledAsync(
  weight: TensorLike,
  scale: TensorLike,
  options: BlockScaledAsyncOptions = {},
): Promise<Float32Array> {
  const checked = makePlan(weight, scale, options, true);
  const { signal } = options;
  checkSignal(signal);
  const loading = loadAll([checked.weight, checked.scale], signal);
  const [ownWeight, ownScale] = loading ? await loading : [checked.weight, checked.scale];
  const own = { ...checked, weight: ownWeight, scale: ownScale };
  // With small blocks there are as many scales as a large tensor has elements.
  const scales = await toFloat32Async(encodedScale(own), undefined, { signal });
  const plan = { ...own, scales };
  const addon = native();
  await runLanes(calls(plan), (call) => addon.decodeTilesAsync(...call), { signal }).catch(
    (error: unknown) => {
      throw decodeError(error, plan.weight.source.path);
    },
  );
  return plan.target.memory;
}

interface CheckedPlan {
  readonly weight: CheckedTensor;
  readonly scale: CheckedTensor;
  readonly rows: number;
  readonly columns: number;
  readonly tileRows: number;
  readonly tileColumns: number;
  readonly target: Target;
}

interface Plan extends CheckedPlan {
  readonly scales: Float32Array;
}

function encodedScale({ scale }: CheckedPlan): Encoded {
  return { ...scale, dtype: scale.dtype.name };
}

function makePlan(
  weightLike: TensorLike,
  scaleLike: TensorLike,
  options: BlockScaledOptions,
  asynchronous: boolean,
): CheckedPlan {
  const [weight, scale] = atOnce(
    checkTensors(
      new Map([
        ['weight', weightLike],
        ['scale', scaleLike],
      ]),
    ),
  );
  checkObject(options, 'options');
  const { blockSize = DEFAULT_BLOCK_SIZE, out } = options;
  const [tileRows, tileColumns] = checkBlockSize(blockSize);
  checkDtype(weight, WEIGHTS);
  checkDtype(scale, SCALES);
  if (weight.shape.length < 2) {
    throw new RangeError(
      `weight: expected rows and columns, found shape [${weight.shape.join(', ')}]`,
    );
  }
  const [rows, columns] = weight.shape.slice(-2);
  if (!fillsBytes(columns, weight.dtype.bits)) {
    throw new RangeError(
      `weight: expected rows of whole bytes, found shape [${weight.shape.join(', ')}]`,
    );
  }
  const wanted = [
    ...weight.shape.slice(0, -2),
    Math.ceil(rows / tileRows),
    Math.ceil(columns / tileColumns),
  ];
  if (wanted.length !== scale.shape.length || wanted.some((n, i) => n !== scale.shape[i])) {
    throw new RangeError(
      `scale: expected shape [${wanted.join(', ')}] for a weight of [${weight.shape.join(', ')}] in ` +
        `blocks of [${blockSize.join(', ')}], found [${scale.shape.join(', ')}]`,
    );
  }
  const elements = weight.shape.reduce((product, n) => product * n, 1);
  const target = checkTarget(out, elements, asynchronous);
  return { weight, scale, rows, columns, tileRows, tileColumns, target };
}

function checkBlockSize(blockSize: readonly number[]): readonly number[] {
  const found = `found ${inspect(blockSize, { depth: 0 })}`;
  if (!Array.isArray(blockSize) || blockSize.length !== 2) {
    throw new TypeError(`blockSize: expected [rows, columns], ${found}`);
  }
  if (!blockSize.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw new RangeError(`blockSize: expected integers over 0, ${found}`);
  }
  return blockSize;
}

/** @throws {SafetensorsError} UNSUPPORTED_DTYPE */
export function checkDtype({ name, dtype, source }: CheckedTensor, of: readonly Dtype[]): void {
  if (of.includes(dtype.name)) return;
  const message = `${name}: expected ${of.join(', ')}, found ${dtype.name}`;
  throw new SafetensorsError('UNSUPPORTED_DTYPE', message, { path: source.path });
}

function* calls(plan: Plan): Generator<DecodeTilesCall, void, undefined> {
  const { weight, scales, rows, columns, tileRows, tileColumns, target } = plan;
  const kernels = kernelSet();
  const format = kernelFormat(weight.dtype.name) as number;
  const { bits } = weight.dtype;
  const across = Math.ceil(columns / tileColumns);
  const down = Math.ceil(rows / tileRows);
  const tiles = [columns, tileRows, tileColumns] as const;
  for (let matrix = 0; matrix * rows * columns < target.length; matrix++) {
    for (let top = 0, bottom = 0; top < rows; top = bottom) {
      bottom = endOfPiece(plan, top);
      const begin = (matrix * rows + top) * columns;
      const end = (matrix * rows + bottom) * columns;
      const bytes = bytesOf(weight.source, (begin / 8) * bits, (end / 8) * bits);
      const firstTile = matrix * down + Math.floor(top / tileRows);
      const lastTile = matrix * down + Math.ceil(bottom / tileRows);
      const results = resultsOf(target, begin, end, [bytes]);
      const ownScales = scales.subarray(firstTile * across, lastTile * across);
      yield [kernels, format, bytes, ownScales, results, ...tiles, target.large];
    }
  }
}

/** Whole rows of tiles, or rows of one of them. */
function endOfPiece({ rows, columns, tileRows }: Plan, top: number): number {
  const most = Math.max(1, Math.floor(PIECE_ELEMENTS / columns));
  const endOfTile = top - (top % tileRows) + tileRows;
  const end = most < tileRows ? Math.min(top + most, endOfTile) : top + most - (most % tileRows);
  return Math.min(end, rows);
}
