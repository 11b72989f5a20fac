// The files that the workers open, and change under each other.
import { mkdirSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromFloat32, serialize } from 'safetensors-mmap';
import type { Random } from '../fuzz/random.ts';

const SINGLE_FILES = 3;
const SHARDS = 3;
const ROWS = 256;
const COLUMNS = 512;
const PAGE_BYTES = 4096;

/** Every dtype here holds 1 to VERSIONS exactly; 0 is what lost pages show. */
const VERSIONS = 100;

const shardName = (i: number) => `model-0000${i + 1}-of-0000${SHARDS}.safetensors`;
const prefixOf = (i: number) => `part${i}`;
const KINDS = ['f32', 'i32', 'f16', 'u8'];

/** All elements of all tensors are `version`, and the metadata says which. */
function contentOf(prefix: string, version: number): Uint8Array {
  const shape = [ROWS, COLUMNS];
  const size = ROWS * COLUMNS;
  const f32 = new Float32Array(size).fill(version);
  return serialize(
    {
      [`${prefix}.f32`]: { dtype: 'F32', shape, data: f32 },
      [`${prefix}.i32`]: { dtype: 'I32', shape, data: new Int32Array(size).fill(version) },
      [`${prefix}.f16`]: { dtype: 'F16', shape, data: fromFloat32('F16', f32) },
      [`${prefix}.u8`]: { dtype: 'U8', shape, data: new Uint8Array(size).fill(version) },
    },
    { metadata: { [prefix]: `${version}` } },
  );
}

export class SoakFiles {
  readonly model: string;
  readonly singles: readonly string[];
  readonly #shards: readonly string[];

  constructor(folder: string) {
    this.model = join(folder, 'model');
    this.singles = Array.from({ length: SINGLE_FILES }, (_, i) => join(folder, `${i}.safetensors`));
    this.#shards = Array.from({ length: SHARDS }, (_, i) => join(this.model, shardName(i)));
  }

  /** Writes all of them. */
  create(random: Random): void {
    mkdirSync(this.model, { recursive: true });
    const names = this.#shards.flatMap((_, i) =>
      KINDS.map((kind) => [`${prefixOf(i)}.${kind}`, shardName(i)]),
    );
    const index = JSON.stringify({ weight_map: Object.fromEntries(names) });
    writeFileSync(join(this.model, 'model.safetensors.index.json'), index);
    for (const path of this.#all()) this.#replace(path, random, 'first');
  }

  /** Replaces one, or cuts it short; one that is short is mostly replaced. `who` is the changer's own. */
  change(random: Random, who: string): void {
    const path = random.pick(this.#all());
    const { size } = statSync(path);
    if (random.once(3))
      truncateSync(path, random.below(Math.floor(size / PAGE_BYTES) + 1) * PAGE_BYTES);
    else this.#replace(path, random, who);
  }

  #all(): string[] {
    return [...this.singles, ...this.#shards];
  }

  #replace(path: string, random: Random, who: string): void {
    const shard = this.#shards.indexOf(path);
    const prefix = shard < 0 ? 'single' : prefixOf(shard);
    const temporary = `${path}.${who}`;
    writeFileSync(temporary, contentOf(prefix, 1 + random.below(VERSIONS)));
    renameSync(temporary, path);
  }
}
