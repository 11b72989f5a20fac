import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { checkedPath, fullPathOf } from '../path.ts';
import { AtomicFile } from './atomic-file.ts';
import { cut, headerChunks } from './chunks.ts';
import { Ending } from './ending.ts';
import { type CheckedSpec, checkPiece, checkSpecs, type Named, type TensorSpec } from './inputs.ts';
import { Lanes } from './lanes.ts';
import {
  type CheckedLayout,
  type CheckedSaving,
  layoutOptions,
  type SaveOptions,
  savingOptions,
} from './options.ts';
import { type Pieces, piecesOf, undeclared } from './pieces.ts';
import { type FilePlan, planFile } from './plan.ts';
import type { ByteSource } from './source.ts';
import { STEP_TENSORS, type Steps, withPauses } from './steps.ts';

/** How far a tensor is. */
interface Growing {
  readonly spec: CheckedSpec;
  /** In the file. */
  readonly position: number;
  written: number;
  /** Settled when all that was asked for before is done. */
  queue: Promise<unknown>;
}

/** The queue of a tensor that nothing was asked for. */
const NOTHING_BEFORE = Promise.resolve();

/** What a writer is to write. */
interface WriterPlan {
  readonly file: FilePlan;
  readonly byteLength: number;
  readonly tensors: ReadonlyMap<string, Growing>;
}

type State = 'open' | 'finishing' | 'finished' | 'failed';

/**
 * A safetensors file whose data comes piece by piece, in any order of the tensors: for models that are
 * larger than memory. Made by {@link createWriter}; as safe as {@link saveFile}: the path holds the old
 * file until {@link finish} has put the new one in its place.
 *
 * `await using` discards a file that is not finished.
 */
export class SafetensorsWriter implements AsyncDisposable {
  /** As the caller named it. */
  readonly path: string;
  /** Bytes that the file will have. */
  readonly byteLength: number;
  readonly #file: AtomicFile;
  readonly #lanes: Lanes;
  readonly #tensors: ReadonlyMap<string, Growing>;
  readonly #saving: CheckedSaving;
  #state: State = 'open';
  /** Why the writer has failed. */
  #failure: unknown;
  /** Comes with that reason, when nothing is left of the file. */
  readonly #ending = new Ending();
  #finished: Promise<void> | undefined;
  #bytes = 0;

  /** @internal */
  constructor(file: AtomicFile, plan: WriterPlan, saving: CheckedSaving) {
    if (!(file instanceof AtomicFile)) {
      throw new TypeError('a SafetensorsWriter is made by createWriter');
    }
    this.path = file.path;
    this.byteLength = plan.byteLength;
    this.#file = file;
    this.#saving = saving;
    this.#tensors = plan.tensors;
    this.#lanes = new Lanes(file, {
      onWritten: (bytes) => this.#progress(bytes),
      stopped: () => this.#state === 'failed',
    });
    saving.signal?.addEventListener('abort', this.#abort);
  }

  /** @internal The header, which comes before everything else. */
  async begin({ file }: WriterPlan): Promise<void> {
    await this.#orFail(() => this.#lanes.write(headerChunks(file)));
  }

  /**
   * Appends bytes to a tensor. Calls for different tensors may overlap; those for the same one are done
   * in the order of the calls. Await each (or a few at a time) and no more is in memory than that.
   *
   * @param data A {@link Tensor} of an open container; a typed array or a DataView, as
   *   {@link TensorLike.data} is; or an iterable or a stream of such arrays, of any lengths. Each is
   *   written before the next is asked for, so that a source may use its buffer again.
   * @returns Resolves when the bytes are written and their memory is the caller's again.
   * @throws {TypeError} for a name that is no string, or data of a wrong kind
   * @throws {RangeError} for a name that was not declared, or more bytes than the tensor has. As long as
   *   nothing of this call is written, the writer can go on after an error
   * @throws {SafetensorsError} CLOSED after `finish` or `discard`; FILE_CHANGED as {@link saveFile} does
   * @throws {Error} of Node's own shape; whatever an iterable throws; the reason of the signal
   */
  async write(name: string, data: Pieces): Promise<void> {
    if (this.#state !== 'open') return this.#refuse();
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw undeclared(name);
    const pieces = piecesOf(name, data);
    const writing = tensor.queue.then(() => this.#append(tensor, pieces));
    tensor.queue = writing.catch(() => {});
    await this.#ending.orEnds(writing);
  }

  /**
   * Puts the file in its place, when all writes are done.
   *
   * @throws {RangeError} while a tensor lacks bytes; they can still be written
   * @throws {SafetensorsError} CLOSED after `discard`
   * @throws {Error} of Node's own shape, as {@link saveFile} does; the reason of the signal; what an earlier
   *   write failed with
   */
  async finish(): Promise<void> {
    return this.finishChecked();
  }

  /** @internal The same; but the file gets its place only if `check` passes, which goes on after an abort. */
  async finishChecked(check?: (temporary: string) => Promise<void>): Promise<void> {
    if (this.#finished) return this.#finished;
    if (this.#state !== 'open') return this.#refuse();
    const queues = new Set(Array.from(this.#tensors.values(), ({ queue }) => queue));
    const writes = Promise.all(queues);
    await this.#ending.orEnds(writes);
    if (this.#finished) return this.#finished;
    if (this.#state !== 'open') return this.#refuse();
    this.#checkComplete();
    this.#state = 'finishing';
    this.#finished = this.#orFail(async () => {
      await this.#file.seal();
      if (this.#state === 'finishing') await check?.(this.#file.temporary);
      this.#throwFailure();
      // The one step that cannot be taken back.
      this.#forgetSignal();
      await this.#file.publish();
      this.#state = 'finished';
    });
    return this.#finished;
  }

  /** Gives the file up, unless it is finished or being finished. Never fails. */
  async discard(): Promise<void> {
    await this.#finished?.catch(() => {});
    if (this.#state === 'finished') return;
    this.#fail(
      new SafetensorsError('CLOSED', 'the writer has been discarded', { path: this.path }),
    );
    await this.#file.discard();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discard();
  }

  async #append(tensor: Growing, pieces: AsyncIterable<unknown> | Iterable<unknown>) {
    let begun = false;
    try {
      for await (const piece of pieces) {
        this.#throwFailure();
        const source = this.#checkPiece(tensor, piece);
        begun = true;
        await this.#writePiece(tensor, source);
      }
    } catch (error) {
      // What is in the file now is not what was meant to be.
      if (begun) await this.#fail(error);
      throw error;
    }
  }

  #checkPiece({ spec, written }: Growing, piece: unknown): ByteSource {
    const { name, byteLength } = spec;
    const source = checkPiece(spec, piece);
    if (source.byteLength > byteLength - written) {
      throw new RangeError(
        `tensor ${quoteName(name)}: expected ${byteLength} bytes in all, ` +
          `found ${source.byteLength} more after ${written}`,
      );
    }
    return source;
  }

  async #writePiece(tensor: Growing, source: ByteSource): Promise<void> {
    const { byteLength, storage } = source;
    const part = { source, begin: 0, end: byteLength, tensor: tensor.spec.name };
    using hold = storage?.hold();
    await this.#lanes.write(cut(tensor.position + tensor.written, [part]));
    this.#throwFailure();
    // Memory that was moved meanwhile was not what was to be written.
    source.assertIntact(hold);
    tensor.written += byteLength;
  }

  #checkComplete(): void {
    const lacking = [...this.#tensors.values()].filter(
      ({ spec, written }) => written < spec.byteLength,
    );
    if (lacking.length === 0) return;
    const [{ spec, written }] = lacking;
    const others = lacking.length > 1 ? `; ${lacking.length - 1} more tensors lack bytes` : '';
    throw new RangeError(
      `tensor ${quoteName(spec.name)}: expected ${spec.byteLength} bytes, found ${written}${others}`,
    );
  }

  #progress(bytes: number): void {
    this.#bytes += bytes;
    this.#saving.onProgress?.({ bytes: this.#bytes, totalBytes: this.byteLength });
  }

  #throwFailure(): void {
    if (this.#state === 'failed') throw this.#failure;
  }

  /** Says why the writer takes nothing more, when nothing is left of a file that failed. */
  async #refuse(): Promise<never> {
    if (this.#state === 'failed') await this.#file.remove();
    this.#throwFailure();
    throw new SafetensorsError('CLOSED', 'the writer has been finished', { path: this.path });
  }

  /** What `work` comes to, or the failure that ends the writer before. */
  async #orFail(work: () => Promise<void>): Promise<void> {
    try {
      await this.#ending.orEnds(work());
    } catch (error) {
      await this.#fail(error);
      throw error;
    }
  }

  /** Ends everything with a reason, unless it has ended; resolves when nothing of the file is left. */
  async #fail(reason: unknown): Promise<void> {
    if (this.#state === 'open' || this.#state === 'finishing') {
      this.#state = 'failed';
      this.#failure = reason;
      this.#forgetSignal();
      void this.#file.discard();
    }
    await this.#file.remove();
    this.#ending.end(this.#failure);
  }

  readonly #abort = () => void this.#fail(this.#saving.signal?.reason);

  #forgetSignal(): void {
    this.#saving.signal?.removeEventListener('abort', this.#abort);
  }
}

/**
 * Begins a safetensors file whose data comes later, in pieces: {@link SafetensorsWriter.write} it, then
 * {@link SafetensorsWriter.finish}. A writer that is neither finished nor discarded, nor disposed of, leaves
 * its temporary file behind: `await using` sees to that.
 *
 * @param path A path or a `file:` URL.
 * @param specs What is to be written, in any order: `{dtype, shape}` by name. A container is such a thing.
 * @throws what {@link saveFile} throws for names, dtypes, shapes, options and the file system
 */
export async function createWriter(
  path: string | URL,
  specs: Named<TensorSpec>,
  options?: SaveOptions,
): Promise<SafetensorsWriter> {
  const target = checkedPath(path);
  // As the working directory of now has it.
  const fullPath = fullPathOf(target);
  const layout = layoutOptions(options);
  const saving = savingOptions(options);
  saving.signal?.throwIfAborted();
  const plan = await withPauses(planWriter(specs, layout), saving.signal);
  const { byteLength } = plan;
  const file = await AtomicFile.create(target, { byteLength, fsync: saving.fsync, fullPath });
  const writer = new SafetensorsWriter(file, plan, saving);
  if (saving.signal?.aborted) await writer.discard();
  saving.signal?.throwIfAborted();
  await writer.begin(plan);
  return writer;
}

function* planWriter(specs: Named<TensorSpec>, layout: CheckedLayout): Steps<WriterPlan> {
  const file = yield* planFile(yield* checkSpecs(specs), layout);
  const tensors = new Map<string, Growing>();
  for (let i = 0; i < file.tensors.length; i++) {
    const spec = file.tensors[i];
    const position = file.positions[i];
    tensors.set(spec.name, { spec, position, written: 0, queue: NOTHING_BEFORE });
    if (i % STEP_TENSORS === 0) yield;
  }
  return { file, byteLength: file.byteLength, tensors };
}
