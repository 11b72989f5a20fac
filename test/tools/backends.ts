/**
 * Tests of the adapters against the real libraries: installs those of test/backends (they are large, and
 * `npm ci` of the package itself leaves them alone), then runs its tests; those of what a runtime with a
 * Float16Array does otherwise, once more there. What to run may be named: `npm run test:backends -- onnxruntime`.
 */
import { type Counts, installAndCompile, report, runTests } from './installed.ts';
import { installNode, versionOf } from './nodes.ts';

/** The first Node with a Float16Array, and the tests of adapters for whose libraries it matters. */
const NODE = '24';
const FLOAT16 = ['onnxruntime', 'transformers', 'jax'];

const compiled = installAndCompile('test/backends');
const runs: Counts[] = [runTests('test/backends')];
if (process.argv.length === 2 && !('Float16Array' in globalThis)) {
  const node = installNode(NODE);
  console.log(`\n== Node ${versionOf(node, NODE)}`);
  const files = FLOAT16.map((name) => `test/backends/${name}.test.ts`);
  runs.push(runTests('test/backends', { node, files }));
}
report('backends', compiled, runs);
