import { describe, expect, it } from 'vitest';
import {
  type Container,
  deserialize,
  type OpenOptions,
  safeOpen,
  safeOpenSync,
} from '../src/index.ts';
import { rawFile } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker } from './support/temporary.ts';

const makeFile = fileMaker();

const ways: Record<string, (bytes: Uint8Array, options?: OpenOptions) => Promise<Container>> = {
  deserialize: async (bytes, options) => deserialize(bytes, options),
  safeOpen: (bytes, options) => safeOpen(makeFile(bytes), options),
  safeOpenSync: async (bytes, options) => safeOpenSync(makeFile(bytes), options),
};

const ENTRY = '"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}';

/** Options that no type would let pass. */
function untyped(options: Record<string, unknown>): OpenOptions {
  return options as OpenOptions;
}

describe.each(Object.entries(ways))('%s', (_, open) => {
  describe('duplicates', () => {
    const file = rawFile(
      `{"__metadata__":{"k":"first","l":"x","\\u006b":"last"},` +
        `"a":{"dtype":"F64","shape":[9],"data_offsets":[0,72]},` +
        `"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},` +
        `"\\u0061":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`,
      Uint8Array.of(1, 2, 3),
    );

    it("'last-wins' takes the last of equal names and keys, at the first's place", async () => {
      using container = await open(file, { duplicates: 'last-wins' });
      expect(container.size).toBe(2);
      expect(container.keys()).toEqual(['a', 'b']);
      expect([...container.getTensor('a').bytes]).toEqual([1, 2]);
      expect([...container.getTensor('b').bytes]).toEqual([3]);
      expect({ ...container.metadata }).toEqual({ k: 'last', l: 'x' });
    });

    it("'last-wins' takes the last though only the first fits", async () => {
      const wrong = rawFile(
        `{${ENTRY},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}`,
        Uint8Array.of(1, 2),
      );
      const error = await thrownBy(() => open(wrong, { duplicates: 'last-wins' }));
      expect(error.code).toBe('ERR_SAFETENSORS_TRUNCATED');
    });

    it("'last-wins' takes any number of them", async () => {
      const first = '"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
      const header = `{${Array.from({ length: 1000 }, () => first).join(',')},${ENTRY}}`;
      using container = await open(rawFile(header, Uint8Array.of(1, 2)), {
        duplicates: 'last-wins',
      });
      expect(container.keys()).toEqual(['a']);
      expect(container.info('a').shape).toEqual([2]);
    });

    it.each([[undefined], [{}], [{ duplicates: 'reject' as const }]])(
      'are refused under %j',
      async (options) => {
        const error = await thrownBy(() => open(file, options));
        expect(error.code).toBe('ERR_SAFETENSORS_DUPLICATE_KEY');
      },
    );

    it.each([null, true, 'first-wins', '', 1, ['last-wins']])('refuses %j', async (duplicates) => {
      const error = await thrownBy(() => open(file, untyped({ duplicates })));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/duplicates.*'reject' or 'last-wins'/);
    });
  });

  describe('maxHeaderBytes', () => {
    const header = `{${ENTRY}}`;
    const file = rawFile(header, Uint8Array.of(1, 2));

    it('accepts a header of exactly so many bytes', async () => {
      using container = await open(file, { maxHeaderBytes: header.length });
      expect(container.keys()).toEqual(['a']);
    });

    it('refuses one byte more, and says both numbers', async () => {
      const maxHeaderBytes = header.length - 1;
      const error = await thrownBy(() => open(file, { maxHeaderBytes }));
      expect(error.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
      expect(error.message).toContain(`${header.length}`);
      expect(error.message).toContain(`${maxHeaderBytes}`);
    });

    it('of 0 refuses every header but an empty one, which is no JSON', async () => {
      const refused = await thrownBy(() => open(file, { maxHeaderBytes: 0 }));
      expect(refused.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
      const empty = await thrownBy(() => open(rawFile(''), { maxHeaderBytes: 0 }));
      expect(empty.code).toBe('ERR_SAFETENSORS_HEADER_JSON');
    });

    it('is 100,000,000 by default, as in the reference', async () => {
      const most = await thrownBy(() => open(rawFile('', new Uint8Array(9), 100_000_000n)));
      expect(most.code).toBe('ERR_SAFETENSORS_HEADER_LENGTH');
      const more = await thrownBy(() => open(rawFile('', new Uint8Array(9), 100_000_001n)));
      expect(more.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
    });

    it('may be more than the default', async () => {
      const lie = rawFile('', new Uint8Array(9), 2n ** 31n - 1n);
      const error = await thrownBy(() => open(lie, { maxHeaderBytes: 2 ** 31 - 1 }));
      expect(error.code).toBe('ERR_SAFETENSORS_HEADER_LENGTH');
    });

    it.each([null, '100', true, [], 10n])('refuses the type of %s', async (maxHeaderBytes) => {
      const error = await thrownBy(() => open(file, untyped({ maxHeaderBytes })));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/maxHeaderBytes.*expected a number/);
    });

    it.each([-1, 0.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53])('refuses %d', async (value) => {
      const error = await thrownBy(() => open(file, { maxHeaderBytes: value }));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(/maxHeaderBytes.*integer from 0 to 2147483647/);
    });
  });

  it('undefined options are the defaults', async () => {
    const file = rawFile(`{${ENTRY}}`, Uint8Array.of(1, 2));
    const options = untyped({ duplicates: undefined, maxHeaderBytes: undefined });
    for (const given of [undefined, {}, options]) {
      using container = await open(file, given);
      expect(container.size).toBe(1);
    }
  });

  it('refuses options that are no object', async () => {
    const file = rawFile(`{${ENTRY}}`, Uint8Array.of(1, 2));
    const error = await thrownBy(() => open(file, null as unknown as OpenOptions));
    expect(error).toBeInstanceOf(TypeError);
  });
});
