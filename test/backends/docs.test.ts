import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.ts';
import { storingBackend, withoutRenderer } from './support/gpu.ts';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const programs = fileURLToPath(new URL('out/docs/', import.meta.url));
const folder = temporaryFolder();

interface Program {
  name: string;
  source: string;
  output: string;
}

/** The first program of a page, with what it prints. */
function programOf(page: string): Program[] {
  const found = /^```js\n([\s\S]*?)^```\n\n```text\n([\s\S]*?)^```$/m.exec(
    readFileSync(docs + page, 'utf8'),
  );
  return found ? [{ name: page.replace('.md', ''), source: found[1], output: found[2] }] : [];
}

/** The program of docs/hub.md is run by test/hub.test.ts, which has a hub. */
const found = readdirSync(docs)
  .filter((page) => page !== 'hub.md')
  .flatMap(programOf);

it('are found', () => {
  expect(found.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'onnxruntime',
      'tfjs',
      'transformers',
      'ndarray',
      'stdlib',
      'webgpu',
      'jax',
    ]),
  );
});

it.for(found)(
  'the program of $name prints what its page says',
  async ({ name, source, output }, { skip }) => {
    const backend = name === 'webgpu' ? await storingBackend() : undefined;
    if (name === 'webgpu' && !backend) {
      withoutRenderer('the program of docs/webgpu.md');
      skip('there is neither a GPU nor a renderer on the CPU');
    }
    mkdirSync(programs, { recursive: true });
    writeFileSync(`${programs}${name}.mjs`, source);
    const printed = execFileSync(
      process.execPath,
      [`${programs}${name}.mjs`, ...(backend ? [`backend=${backend}`] : [])],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1' },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    expect(printed).toBe(output);
  },
);
