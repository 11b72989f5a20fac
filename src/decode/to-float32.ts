import { checkObject, checkSignal } from '../arguments.ts';
import { DTYPES, type Dtype } from '../dtypes.ts';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { elementsIn } from '../layout.ts';
import { native } from '../native.ts';
import type { DecodeCall } from '../native-kernels.ts';
import type { ByteSource } from '../write/source.ts';
import { kernelFormat, kernelSet } from './kernels.ts';
import { type DecodeOptions, PIECE_ELEMENTS, runLanes } from './lanes.ts';
import { bytesOf, checkTarget, decodeError, resultsOf, type Target } from './memory.ts';

/** Elements to be decoded, and whose they are. */
export interface Encoded {
  readonly source: ByteSource;
  readonly dtype: Dtype;
  readonly name: string;
}

const INFO = new Map(DTYPES.map((dtype) => [dtype.name, dtype]));

/** See {@link Tensor.toFloat32}. */
export function toFloat32(encoded: Encoded, out?: Float32Array): Float32Array {
  const plan = makePlan(encoded, out, false);
  const addon = native();
  try {
    for (const call of calls(plan)) addon.decode(...call);
  } catch (error) {
    throw decodeError(error, encoded.source.path, encoded.name);
  }
  return plan.target.memory;
}

/** See {@link Tensor.toFloat32Async}. */
export async function toFloat32Async(
  encoded: Encoded,
  out: Float32Array | undefined,
  options: DecodeOptions = {},
): Promise<Float32Array> {
  checkObject(options, 'options');
  const { signal } = options;
  checkSignal(signal);
  const checked = makePlan(encoded, out, true);
  const loading = checked.source.load(signal);
  const plan = loading ? { ...checked, source: await loading } : checked;
  const addon = native();
  await runLanes(calls(plan), (call) => addon.decodeAsync(...call), { signal }).catch(
    (error: unknown) => {
      throw decodeError(error, encoded.source.path, encoded.name);
    },
  );
  return plan.target.memory;
}

interface Plan {
  readonly source: ByteSource;
  readonly format: number;
  readonly bits: number;
  readonly target: Target;
}

function makePlan(
  { source, dtype, name }: Encoded,
  out: Float32Array | undefined,
  asynchronous: boolean,
): Plan {
  const info = INFO.get(dtype);
  const format = kernelFormat(dtype);
  source.storage?.assertOpen();
  if (info === undefined || format === undefined) {
    throw new SafetensorsError(
      'UNSUPPORTED_DTYPE',
      `tensor ${quoteName(name)}: ${dtype} has no meaning as F32`,
      { path: source.path, tensor: name },
    );
  }
  const target = checkTarget(out, elementsIn(source.byteLength, info.bits), asynchronous);
  return { source, format, bits: info.bits, target };
}

function* calls({ source, format, bits, target }: Plan): Generator<DecodeCall, void, undefined> {
  const kernels = kernelSet();
  for (let begin = 0; begin < target.length; begin += PIECE_ELEMENTS) {
    const end = Math.min(begin + PIECE_ELEMENTS, target.length);
    const bytes = bytesOf(source, (begin / 8) * bits, (end / 8) * bits);
    yield [kernels, format, bytes, resultsOf(target, begin, end, [bytes]), target.large];
  }
}
