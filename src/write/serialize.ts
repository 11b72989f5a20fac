import { checkTensors, type TensorsLike } from './inputs.ts';
import { layoutOptions, type SerializeOptions } from './options.ts';
import { planFile } from './plan.ts';
import { atOnce } from './steps.ts';

/**
 * A safetensors file in memory. With no metadata or one key it is byte for byte what the reference
 * writes for the same tensors; with several keys, whose order the reference leaves to chance, it
 * has the caller's.
 *
 * @returns Memory of its own, which shares nothing with the tensors.
 * @throws {TypeError}, {RangeError} for what a safetensors file cannot hold: see {@link saveFile}
 * @throws {SafetensorsError} CLOSED for a tensor whose container has been closed; FILE_CHANGED for one
 *   whose file has lost pages
 * @throws {RangeError} when the runtime has no buffer as long as that (4 GiB on Node 20)
 */
export function serialize(tensors: TensorsLike, options?: SerializeOptions): Uint8Array {
  const layout = layoutOptions(options);
  const {
    header,
    tensors: sorted,
    positions,
    byteLength,
  } = atOnce(planFile(atOnce(checkTensors(tensors)), layout));
  const file = new Uint8Array(byteLength);
  file.set(header);
  for (const [i, { source }] of sorted.entries()) {
    const isCopied = source.copyFew?.(file, positions[i], 0, source.byteLength) ?? false;
    for (let done = isCopied ? source.byteLength : 0; done < source.byteLength; ) {
      const bytes = source.bytes(done, source.byteLength);
      file.set(bytes, positions[i] + done);
      done += bytes.length;
    }
    source.assertIntact();
  }
  return file;
}
