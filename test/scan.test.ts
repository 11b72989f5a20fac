import { describe, expect, it } from 'vitest';
import { scanCheckpoint } from '../src/convert/index.ts';
import { header, npy } from './support/arrays.ts';
import { EVIL, pickle, py } from './support/checkpoints.ts';
import { fileMaker } from './support/temporary.ts';

const makeFile = fileMaker();

async function scanned(bytes: Buffer, name = 'x.bin') {
  const [report] = await scanCheckpoint(makeFile(bytes, name));
  return report;
}

const stackGlobal = (module: string, name: string) =>
  Buffer.concat([py.text(module), py.text(name), Buffer.from([0x93])]);

describe('scans of arrays', () => {
  it.each([
    "'object'",
    "'O'",
    "'|O8'",
    "'i4,O'",
    "'\\x4f'",
    "['aO']",
    "'(1,)O'",
    "{'aO': 1}",
    "[('a', '<f4'), ('b', [('c', '|O')])]",
  ])('see the pickle of the dtype %s', async (descr) => {
    const evil = npy(header(descr, '(1,)'), pickle(py.list(EVIL)));
    expect(await scanned(evil, 'x.npy')).toMatchObject({ verdict: 'dangerous' });
  });

  it('call what may be objects unknown, whatever their pickle has', async () => {
    const harmless = npy(header("'i4,O'", '(1,)'), pickle(py.list(py.int(1))));
    expect(await scanned(harmless, 'x.npy')).toMatchObject({ verdict: 'unknown' });
  });

  it.each(["'<f4'", "'|S3'", "'<M8[ns]'", "'?'", "[('a', '<f4'), ('b', '|V3', (2,))]"])(
    'see data in the dtype %s',
    async (descr) => {
      const data = npy(header(descr, '(1,)'), pickle(py.list(EVIL)));
      expect(await scanned(data, 'x.npy')).toMatchObject({ verdict: 'safe', calls: [] });
    },
  );
});

describe('scans of names', () => {
  it.each([
    ['torch.serialization', 'os.system', 'it runs commands'],
    ['builtins', 'eval.__call__', 'it runs code'],
    ['__main__', 'Model.method', 'it reaches any attribute or function'],
  ])('follow the dots of %s and %s', async (module, name, danger) => {
    const called = pickle(py.call(stackGlobal(module, name), py.text('true')));
    const { verdict, calls } = await scanned(called);
    expect({ verdict, danger: calls[0].danger }).toEqual({ verdict: 'dangerous', danger });
  });

  it('take time in proportion to the calls in a chain', { timeout: 60_000 }, async () => {
    const chain = Buffer.from(`cfoo\nbar\n${')R'.repeat(1_000_000)}.`, 'latin1');
    expect(await scanned(chain)).toMatchObject({ verdict: 'unknown' });
  });
});
