import { type AnyTensor, type Container, SafetensorsError, type Tensor } from '../index.ts';
import type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';

/** Elements as they are handed to a backend. */
export type Elements = AnyTensor['data'] | Float32Array;

/** What an adapter says of its backend. */
export interface Backend<T, Options extends ConvertOptions = ConvertOptions> {
  readonly name: string;
  readonly dtypes: DtypeTable;
  build(tensor: Tensor, elements: () => Elements, conversion: Conversion, options: Options): T;
  /** Gives up what was built before another tensor failed. */
  discard?(built: Awaited<T>): void;
}

/** @throws {SafetensorsError} UNSUPPORTED_DTYPE */
export function conversionOf<Options extends ConvertOptions>(
  { name: backend, dtypes }: Pick<Backend<unknown>, 'name' | 'dtypes'>,
  { name, dtype }: Pick<Tensor, 'name' | 'dtype'>,
  options: Options,
): Conversion {
  const { decode, integers } = options;
  if (decode !== undefined && decode !== 'float32') {
    throw new TypeError(`decode: expected 'float32', found ${String(decode)}`);
  }
  if (integers !== undefined && integers !== 'int32') {
    throw new TypeError(`integers: expected 'int32', found ${String(integers)}`);
  }
  const conversion = dtypes[dtype];
  const option = conversion?.option;
  const given: Partial<Record<NonNullable<typeof option>, unknown>> = options;
  if (conversion && (option === undefined || given[option] !== undefined)) return conversion;
  const hint = option ? `; the option \`${option}: '${conversion.as}'\` converts it` : '';
  throw new SafetensorsError('UNSUPPORTED_DTYPE', `${backend} has no ${dtype}${hint}`, {
    tensor: name,
  });
}

/** One tensor. Decodes on this thread. */
export function convert<T, Options extends ConvertOptions>(
  backend: Backend<T, Options>,
  tensor: Tensor,
  options: Options,
): T {
  const conversion = conversionOf(backend, tensor, options);
  const elements = () =>
    conversion.as === 'float32' ? tensor.toFloat32() : plain(tensor, conversion);
  return backend.build(tensor, elements, conversion, options);
}

/** Many tensors: all dtypes are checked before anything is built, and decoding is done on other threads. */
export async function convertAll<T, Options extends ConvertAllOptions>(
  backend: Backend<T, Options>,
  container: Container,
  options: Options,
): Promise<Map<string, Awaited<T>>> {
  const { names = container.keys(), signal } = options;
  const planned = Array.from(names, (name) => {
    const tensor: Tensor = container.getTensor(name);
    return { name, tensor, conversion: conversionOf(backend, tensor, options) };
  });
  const built = new Map<string, Awaited<T>>();
  try {
    for (const { name, tensor, conversion } of planned) {
      signal?.throwIfAborted();
      const floats =
        conversion.as === 'float32'
          ? await tensor.toFloat32Async(undefined, { signal })
          : undefined;
      const elements = () => floats ?? plain(tensor, conversion);
      built.set(name, await backend.build(tensor, elements, conversion, options));
    }
  } catch (error) {
    for (const one of built.values()) backend.discard?.(one);
    throw error;
  }
  return built;
}

function plain(tensor: Tensor, { as }: Conversion): Elements {
  return as === 'int32' ? toInt32(tensor) : tensor.data;
}

function toInt32({ data, name }: Tensor): Int32Array<ArrayBuffer> {
  const out = new Int32Array(data.length);
  for (let place = 0; place < data.length; place++) {
    out[place] = Number(data[place]);
    if (out[place] !== Number(data[place])) {
      throw new RangeError(
        `${JSON.stringify(name)}: element ${place} is ${data[place]}, over 32 bits`,
      );
    }
  }
  return out;
}
