import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dtype, deserialize, serialize } from '../src/index.ts';
import { anyModel, anyText, type Model, type ModelTensor } from './support/arbitraries.ts';
import { ALL_DTYPES, patternBytes, tensorBytes } from './support/build.ts';
import { python, readByReference, runPython, runSeed, withoutPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';

/** The reference reads these, but its Python package has no name to write them by. */
const NEVER_WRITTEN: readonly Dtype[] = ['F6_E2M3', 'F6_E3M2'];
const WRITTEN = ALL_DTYPES.filter((dtype) => !NEVER_WRITTEN.includes(dtype));

interface Case {
  tensors: Pick<ModelTensor, 'name' | 'dtype' | 'shape' | 'data'>[];
  metadata: Record<string, string> | undefined;
}

const MODELS = 600;

/** What the reference leaves to chance, or cannot write, is left out. */
function caseOf({ tensors, metadata }: Model): Case {
  return {
    tensors: tensors
      .filter(({ dtype }) => WRITTEN.includes(dtype))
      // Its F4 comes as pairs along the last dimension.
      .filter(({ dtype, shape }) => dtype !== 'F4' || (shape.at(-1) ?? 1) % 2 === 0),
    metadata: metadata && Object.fromEntries(metadata.slice(0, 1)),
  };
}

/**
 * For no tensors and metadata without keys the reference writes `{},"__metadata__":{}}`, which
 * nobody can read.
 */
function isBrokenByReference({ tensors, metadata }: Case): boolean {
  return tensors.length === 0 && metadata !== undefined && Object.keys(metadata).length === 0;
}

/** A tensor of each dtype under the same few names, which sort differently by UTF-16 units. */
function everyDtype(shape: readonly number[]): Case {
  const names = ['\u{1f600}', '\uff5e', 'z', '\ud7ff', '\ue000', 'a\u{10ffff}', 'a\uffff', 'a', ''];
  const tensors = WRITTEN.flatMap((dtype, i) =>
    names.map((name) => {
      const whole = dtype === 'F4' && shape.length === 0 ? [2] : [...shape];
      const data = patternBytes(tensorBytes(dtype, whole), i);
      return { name: `${name}${i}`, dtype, shape: whole, data };
    }),
  );
  return { tensors, metadata: undefined };
}

function specialCases(): Case[] {
  const nothing = { tensors: [], metadata: undefined };
  const text = { name: 't', dtype: 'U8', shape: [1], data: patternBytes(1) } as const;
  const control = Array.from({ length: 0x21 }, (_, code) => String.fromCharCode(code)).join('');
  const awkward = `${control}\u007f\u0080"\\/\u2028\u2029\ufeff\ufffd\u{1f600}`;
  return [
    nothing,
    { ...nothing, metadata: {} },
    { ...nothing, metadata: { format: 'pt' } },
    { tensors: [{ ...text, shape: [1], name: awkward }], metadata: { [awkward]: awkward } },
    ...Array.from({ length: 9 }, (_, length) => ({
      tensors: [{ ...text, shape: [1], name: 'n'.repeat(length) }],
      metadata: undefined,
    })),
    ...[[], [0], [2, 0, 2], [2], [3, 4]].map(everyDtype),
  ];
}

it('leaves out what the reference cannot write, and nothing else', () => {
  expect(WRITTEN.length).toBe(20);
});

describe('serialize against a live Python', () => {
  it('is there', withoutPython('test/serialize.interop.test.ts'));

  describe.skipIf(python.problem !== undefined)('with the reference', () => {
    const folder = temporaryFolder();

    it('writes the same bytes', () => {
      const seed = runSeed();
      const models = fc.sample(anyModel, { seed, numRuns: MODELS }).map(caseOf);
      const named = fc.sample(fc.uniqueArray(anyText, { maxLength: 60 }), { seed, numRuns: 50 });
      const many = named.map((names) => ({
        tensors: names
          .filter((name) => name !== '__metadata__')
          .map((name, i) => ({
            name,
            dtype: WRITTEN[i % 3],
            shape: [4],
            data: patternBytes(tensorBytes(WRITTEN[i % 3], [4]), i),
          })),
        metadata: undefined,
      }));
      const cases: Case[] = [...specialCases(), ...models, ...many];
      const lines = cases.map(({ tensors, metadata = null }) =>
        JSON.stringify({
          tensors: tensors.map(({ name, dtype, shape, data }) => [
            name,
            dtype,
            shape,
            Buffer.from(data).toString('base64'),
          ]),
          metadata,
        }),
      );
      writeFileSync(join(folder, 'cases'), lines.join('\n'));
      mkdirSync(join(folder, 'theirs'));
      runPython('write_each.py', join(folder, 'cases'), join(folder, 'theirs'));

      const dtypes = new Set<string>();
      for (const [i, { tensors, metadata }] of cases.entries()) {
        const theirs = readFileSync(join(folder, 'theirs', String(i)));
        const pairs = tensors.map((tensor) => [tensor.name, tensor] as const);
        const ours = serialize(new Map(pairs), { metadata });
        if (isBrokenByReference(cases[i])) {
          expect(() => deserialize(theirs)).toThrow(/after the header/);
          expect({ ...deserialize(ours).metadata }).toEqual({});
          continue;
        }
        if (Buffer.compare(ours, theirs) !== 0) {
          expect(Buffer.from(ours).toString('latin1'), lines[i]).toBe(theirs.toString('latin1'));
        }
        // Whatever order they come in, and also when they come from a file.
        expect(Buffer.compare(serialize(pairs.toReversed(), { metadata }), theirs)).toBe(0);
        expect(Buffer.compare(serialize(deserialize(theirs), { metadata }), theirs)).toBe(0);
        for (const { dtype } of tensors) dtypes.add(dtype);
      }
      expect(dtypes).toEqual(new Set(WRITTEN));
    });

    it('writes files of every dtype and with any metadata that the reference reads', () => {
      const seed = runSeed();
      const made = join(folder, 'made');
      mkdirSync(made);
      const models = fc.sample(fc.tuple(anyModel, fc.nat(2000), fc.constantFrom(8, 64, 4096)), {
        seed,
        numRuns: MODELS,
      });
      const expected = models.map(([{ tensors, metadata }, headerPadding, alignment], i) => {
        const options = {
          metadata: metadata && new Map(metadata),
          ...(i % 2 === 0 && { headerPadding, alignment }),
        };
        const pairs = tensors.map((tensor) => [tensor.name, tensor] as const);
        const file = serialize(pairs, options);
        writeFileSync(join(made, String(i).padStart(4, '0')), file);
        return { metadata: Object.fromEntries(metadata ?? []), tensors };
      });
      const verdicts = readByReference<{
        ok: boolean;
        metadata: Record<string, string>;
        tensors: unknown[];
      }>(made);
      expect(verdicts.length).toBe(expected.length);
      for (const [i, { ok, metadata, tensors }] of verdicts.entries()) {
        expect({ ok, metadata }, String(i)).toEqual({ ok: true, metadata: expected[i].metadata });
        expect(tensors.length).toBe(expected[i].tensors.length);
      }
    });
  });
});
