/**
 * Cuts a mapped file short from another thread, again and again, at some moment while a call reads from it;
 * prints how the calls ended. What a call has read when it succeeds must be what the file had.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type Container,
  createWriter,
  decodeBlockScaledAsync,
  deserialize,
  fromFloat32Async,
  safeOpenSync,
  saveFile,
  serialize,
} from 'safetensors-mmap';
import { Cutter } from './support/cutter.js';
import { Outcomes } from './support/outcomes.js';

const [path, way, roundsText, guard = 'on'] = process.argv.slice(2);
const target = `${path}.copy`;

const ELEMENTS = 2 ** 18;
const aligned = serialize({
  x: { dtype: 'F32', shape: [512, ELEMENTS / 512], data: new Float32Array(ELEMENTS).fill(1) },
  y: { dtype: 'F32', shape: [ELEMENTS], data: new Float32Array(ELEMENTS).fill(2) },
});
const content = way === 'copy' ? shifted(aligned) : aligned;

/** The same file with one more space behind its header: no tensor is aligned. */
function shifted(file: Uint8Array): Uint8Array {
  const headerLength = Buffer.from(file.buffer).readUInt32LE();
  const longer = Buffer.concat([
    file.subarray(0, 8 + headerLength),
    Buffer.from(' '),
    file.subarray(8 + headerLength),
  ]);
  longer.writeUInt32LE(headerLength + 1);
  return longer;
}

/** They return what they have read. */
const calls: Record<string, (container: Container) => unknown> = {
  decode: (container) => container.getTensor('y').toFloat32(),
  decodeAsync: (container) => container.getTensor('y').toFloat32Async(),
  blocks: (container) => {
    const data = container.getTensor('y').bytes;
    const rows = data.length / 128;
    return decodeBlockScaledAsync(
      { dtype: 'F8_E4M3', shape: [rows, 128], data },
      { dtype: 'F32', shape: [rows, 1], data: new Float32Array(rows).fill(1) },
      { blockSize: [1, 128] },
    );
  },
  encode: (container) => fromFloat32Async('F16', container.getTensor('y').data as Float32Array),
  gather: (container) => container.getTensor('x').slice(null, [1, 500]).bytes,
  gatherAsync: async (container) =>
    (await container.getTensor('x').sliceAsync([null, [1, 500]])).bytes,
  prefetch: (container) => container.prefetch(),
  save: async (container) => {
    await saveFile(container, target, { fsync: false });
    return readFileSync(target);
  },
  saveViews: async (container) => {
    const { data } = container.getTensor('y');
    await saveFile({ y: { dtype: 'F32', shape: [ELEMENTS], data } }, target, { fsync: false });
    return readFileSync(target);
  },
  writer: async (container) => {
    const y = container.getTensor('y');
    await using writer = await createWriter(target, { y }, { fsync: false });
    await writer.write('y', y);
    await writer.finish();
    return readFileSync(target);
  },
  serialize: (container) => serialize(container),
  copy: (container) => container.getTensor('y').data,
};

function assertEqual(read: unknown, expected: unknown): void {
  const [a, b] = [read, expected].map((value) => {
    const { buffer, byteOffset, byteLength } = value as Uint8Array;
    return Buffer.from(buffer, byteOffset, byteLength);
  });
  if (!a.equals(b)) throw new Error('what was read is not what the file had');
}

/** Fewer than the fastest call takes, and more than the slowest; as many rounds with ten times as many. */
const fewToMany = () => 100 * 10 ** (4 * Math.random());

const outcomes = new Outcomes();
const cutter = new Cutter(path);
const expected = await calls[way](deserialize(content));
for (let round = 0; round < Number(roundsText); round++) {
  writeFileSync(path, content);
  const file = safeOpenSync(path, { faultGuard: guard === 'on' });
  cutter.start(Math.floor(fewToMany()));
  const read = await outcomes.note(() => calls[way](file));
  if (read !== undefined) assertEqual(read, expected);
  cutter.wait();
  file.close();
}
await cutter.end();
outcomes.print();
