import { basename, dirname } from 'node:path';
import { checkedPath, fullPathOf, pathIn } from '../path.ts';
import { planFile } from './convert-file.ts';
import { convertFolder } from './folder.ts';
import { withGivenPaths } from './given-paths.ts';
import { checkOutput, kindOf } from './kind-of-path.ts';
import { type ConvertOptions, checkOptions } from './options.ts';
import { bytesOf, type Conversion, convertedFile, convertPlanned, progressOf } from './planned.ts';

/**
 * Writes the tensors of a checkpoint as safetensors: of `.bin`, `.pt`, `.pth` and `.ckpt` files of any version
 * of PyTorch, of `.npy` and `.npz` files of numpy, and of GGUF files that are not quantised. What a file is is told
 * from its content, not from its name. The checkpoint is read as data: whatever its pickle says, nothing of it is
 * imported, called or evaluated. The tensors go from the mapped file to the new one without passing through
 * the JavaScript heap, but for those whose elements have to be moved or changed, which do in pieces.
 *
 * @param input A file; or the folder of a model of PyTorch, `pytorch_model.bin.index.json` with its shards or a
 *   single file; or such an index.
 * @param output The file to write; for a folder or an index, the folder to write to. Each file is there
 *   whole or not at all. Shards that a conversion which was ended has finished are compared and kept.
 * @throws {SafetensorsError} UNSAFE_PICKLE, MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT, NOT_A_CHECKPOINT,
 *   UNSUPPORTED_TENSOR, SHARED_TENSORS, NO_TENSORS, INDEX_MISMATCH, SHARD_PATH; CONVERSION_MISMATCH;
 *   FILE_CHANGED
 * @throws {TypeError}, {RangeError} for options, and as {@link saveFile} does; for an output that is the input
 * @throws {Error} of Node's own shape; the reason of the signal
 */
export async function convertCheckpoint(
  input: string | URL,
  output: string | URL,
  options?: ConvertOptions,
): Promise<Conversion> {
  const from = checkedPath(input);
  const to = checkedPath(output);
  const checked = checkOptions(options);
  checked.signal?.throwIfAborted();
  // Of where the process is now: it may be elsewhere by the time that they are used again.
  const target = { full: fullPathOf(to) + (to.endsWith('/') ? '/' : ''), given: to };
  const source = { full: fullPathOf(from), given: from };
  const isFolder = (await kindOf(from)).isDirectory();
  if (isFolder || /\.index\.json$/.test(from)) {
    const folder = { full: dirname(source.full), given: dirname(from) };
    const paths = isFolder ? [target, source] : [target, source, folder];
    const conversion = await withGivenPaths(paths, () =>
      convertFolder(source.full, target.full, checked),
    );
    return withNames(conversion, isFolder ? from : folder.given, to);
  }
  const plan = await planFile(from, checked);
  using _checkpoint = plan.checkpoint;
  await checkOutput(target.full, from, to);
  const progress = progressOf(checked, bytesOf(plan));
  if (!checked.dryRun) {
    await withGivenPaths([target], () => convertPlanned(plan, target.full, checked, progress));
  }
  return { files: [convertedFile(plan, from, to, false)] };
}

/** Files by their paths in the folders as the caller named those. */
function withNames({ files, index }: Conversion, from: string, to: string): Conversion {
  const named = files.map((file) => ({
    ...file,
    input: pathIn(from, basename(file.input)),
    output: pathIn(to, basename(file.output)),
  }));
  return { files: named, ...(index === undefined ? {} : { index: pathIn(to, basename(index)) }) };
}
