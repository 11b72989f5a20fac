import { OP } from './opcodes.ts';
import type { PickleReader } from './reader.ts';
import { PyNamed } from './values.ts';

/**
 * What opcodes stand for that name what is not in the file. A reader of Python may have it, or have no need
 * of it, and go on: here the pickle is refused at its end.
 *
 * @throws {PickleFault} for what is no opcode
 */
export function readOutside(opcode: number, reader: PickleReader): PyNamed | undefined {
  const shown = `opcode 0x${opcode.toString(16).padStart(2, '0')}, which no checkpoint has`;
  const extension = (code: number) => new PyNamed('extension', `${code}`);
  const read: Partial<Record<number, () => PyNamed | undefined>> = {
    [OP.EXT1]: () => extension(reader.byte()),
    [OP.EXT2]: () => extension(reader.uint16()),
    [OP.EXT4]: () => extension(reader.uint32()),
    [OP.NEXT_BUFFER]: () => new PyNamed('buffer', 'out of band'),
    [OP.READONLY_BUFFER]: () => undefined,
  };
  const outside = read[opcode];
  if (outside === undefined) throw reader.fault(shown, 'refused');
  reader.defer(reader.fault(shown));
  return outside();
}
