import { PickleMachine } from './machine.ts';
import type { PickleReader } from './reader.ts';
import type { Trace } from './trace.ts';
import type { Persistents, PyStorage, Value } from './values.ts';

/** Work that is done before the event loop has its turn. Instructions may cost as much as a million others. */
const WORK_OF_A_TURN = 500_000;

/**
 * Runs a pickle over symbolic values. See {@link PickleMachine}.
 *
 * @returns What the pickle stands for, and the storages that it names, by key; the reader is behind its STOP.
 * @throws {PickleFault}; the reason of the signal
 */
export async function runPickle(
  reader: PickleReader,
  trace: Trace,
  {
    persistents,
    signal,
  }: { persistents?: Persistents | undefined; signal?: AbortSignal | undefined } = {},
): Promise<{ value: Value; storages: ReadonlyMap<string, PyStorage> }> {
  const machine = new PickleMachine(reader, trace, persistents);
  for (;;) {
    const value = machine.run(WORK_OF_A_TURN);
    if (value !== undefined) {
      if (reader.deferred !== undefined) throw reader.deferred;
      return { value, storages: machine.storages };
    }
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
}
