import { type Container, SafetensorsError, type Tensor } from '../index.ts';
import { checkConvert, checkConvertAll } from './checks.ts';
import type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';
import { converted, type Elements, plain } from './elements.ts';
import { Turns } from './turns.ts';

export type { Elements } from './elements.ts';

/** What an adapter says of its backend. */
export interface Backend<T, Options extends ConvertOptions = ConvertOptions> {
  readonly name: string;
  readonly dtypes: DtypeTable;
  /** When it is asynchronous, it calls {@link Tensor.assertIntact} itself for what it copies. */
  build(tensor: Tensor, elements: () => Elements, conversion: Conversion, options: Options): T;
  /** Gives up what was built before another tensor failed. */
  discard?(built: Awaited<T>): void;
}

/** @throws {SafetensorsError} UNSUPPORTED_DTYPE */
function conversionOf<Options extends ConvertOptions>(
  { name: backend, dtypes }: Pick<Backend<unknown>, 'name' | 'dtypes'>,
  { name, dtype }: Pick<Tensor, 'name' | 'dtype'>,
  options: Options,
): Conversion {
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
  checkConvert(tensor, options);
  const conversion = conversionOf(backend, tensor, options);
  const elements = () =>
    conversion.as === 'float32' ? tensor.toFloat32() : plain(tensor, conversion);
  return intact(backend, tensor, conversion, backend.build(tensor, elements, conversion, options));
}

/**
 * Many tensors: all dtypes are checked before anything is built, decoding is done on other threads, and the event loop
 * comes round while this one has work.
 */
export async function convertAll<T, Options extends ConvertAllOptions>(
  backend: Backend<T, Options>,
  container: Container,
  options: Options,
): Promise<Map<string, Awaited<T>>> {
  checkConvertAll(container, options);
  const { names = container.keys(), signal } = options;
  // A name that comes twice is one tensor: of two, nobody would give the first up.
  const planned = Array.from(new Set(names), (name) => {
    const tensor: Tensor = container.getTensor(name);
    return { name, tensor, conversion: conversionOf(backend, tensor, options) };
  });
  const built = new Map<string, Awaited<T>>();
  const turns = new Turns();
  try {
    for (const { name, tensor, conversion } of planned) {
      await turns.give(signal);
      const own = await converted(tensor, conversion, turns, signal);
      const elements = () => own ?? plain(tensor, conversion);
      const one = backend.build(tensor, elements, conversion, options);
      built.set(name, await intact(backend, tensor, conversion, one));
    }
  } catch (error) {
    for (const one of built.values()) backend.discard?.(one);
    throw error;
  }
  return built;
}

/**
 * What a backend has copied from the tensor's own elements was all there; otherwise it is given up. Also where the
 * table says that it keeps them: some backends of a library do, and others copy.
 */
function intact<T>(
  { discard }: Pick<Backend<T>, 'discard'>,
  tensor: Tensor,
  { as }: Conversion,
  built: T,
): T {
  if (as !== undefined || built instanceof Promise) return built;
  try {
    tensor.assertIntact();
  } catch (error) {
    discard?.(built as Awaited<T>);
    throw error;
  }
  return built;
}
