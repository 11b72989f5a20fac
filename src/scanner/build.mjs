// Compiles scanner.ts, and puts what comes out into binary.ts, as text: so that a bundler, a test and Node
// find it in the same way.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = dirname(fileURLToPath(import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'scanner-'));
try {
  const compiled = join(scratch, 'scanner.wasm');
  const { error, stderr } = await asc.main([
    join(folder, 'scanner.ts'),
    ...['--outFile', compiled, '--optimizeLevel', '3', '--runtime', 'stub', '--enable', 'simd'],
  ]);
  if (error) throw new Error(stderr.toString(), { cause: error });
  writeFileSync(
    join(folder, 'binary.ts'),
    `/** What build.mjs makes of scanner.ts: WebAssembly, in Base64. */
export const SCANNER = '${readFileSync(compiled).toString('base64')}';
`,
  );
} finally {
  rmSync(scratch, { recursive: true });
}
