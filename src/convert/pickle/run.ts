import { PickleMachine } from './machine.ts';
import type { PickleReader } from './reader.ts';
import type { Trace } from './trace.ts';
import type { Persistents, Value } from './values.ts';

/** Instructions that are looked at before the event loop has its turn. */
const STEPS_OF_A_TURN = 100_000;

/**
 * Runs a pickle over symbolic values. See {@link PickleMachine}.
 *
 * @returns What the pickle stands for; the reader is behind its STOP.
 * @throws {PickleFault}
 */
export async function runPickle(
  reader: PickleReader,
  trace: Trace,
  persistents?: Persistents,
): Promise<Value> {
  const machine = new PickleMachine(reader, trace, persistents);
  for (;;) {
    const result = machine.run(STEPS_OF_A_TURN);
    if (result !== undefined) {
      if (reader.deferred !== undefined) throw reader.deferred;
      return result;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
