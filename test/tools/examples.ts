/**
 * Tests of the examples that have libraries of their own: installs those, then runs test/examples. What to
 * run may be named: `npm run test:examples -- encoder`.
 */
import { installAndCompile, runTests } from './installed.ts';

const EXAMPLES = ['examples/encoder', 'examples/model-server'];

const compiled = EXAMPLES.map(installAndCompile);
if (!runTests('examples', 'test/examples') || compiled.includes(false)) process.exitCode = 1;
