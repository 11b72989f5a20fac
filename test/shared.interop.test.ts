import { beforeEach, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../src/convert/index.ts';
import { runPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';
import { withoutTorch } from './support/torch.ts';

type Links = Record<string, string> | null;

interface Case {
  name: string;
  file: string;
  /** Of the reference; `null` where it refuses. */
  links: Links;
}

/**
 * Where the reference drops what is another view of the tensor that it keeps, and nothing says how they differed:
 * here it is a tensor of its own.
 */
const KEPT_HERE: ReadonlySet<string> = new Set(['parts-and-the-whole', 'another-shape', 'a-row']);

const folder = temporaryFolder();

async function linksOf(file: string): Promise<Links> {
  try {
    const { files } = await convertCheckpoint(file, `${file}.safetensors`, { fsync: false });
    return Object.fromEntries(files[0].links);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_SHARED_TENSORS' });
    return null;
  }
}

describe('tensors that share memory', () => {
  beforeEach(withoutTorch('shared tensors against the reference'));

  it('have the links of the reference, but where those lose something', {
    timeout: 120_000,
  }, async () => {
    const cases: Case[] = JSON.parse(runPython('make_shared.py', folder));
    const seen = new Set<string>();
    for (const { name, file, links } of cases) {
      const found = await linksOf(file);
      if (KEPT_HERE.has(name)) {
        seen.add(name);
        expect(Object.keys(links ?? {}), name).not.toEqual([]);
        expect(found, name).toEqual({});
      } else expect(found, name).toEqual(links);
    }
    expect(seen).toEqual(KEPT_HERE);
  });
});
