/**
 * Tests of the examples that have libraries of their own: installs those, then runs test/examples. What to
 * run may be named: `npm run test:examples -- encoder`.
 */
import { compile, installAndCompile, report, runTests } from './installed.ts';

/** The server first: it compiles files of the encoder, whose packages need not be there. */
const EXAMPLES = ['examples/model-server', 'examples/encoder'];

const compiled = EXAMPLES.map(installAndCompile);
// Its tests import files of the examples, and so the types of what is installed there.
compiled.push(compile('test/examples'));
report('examples', !compiled.includes(false), [runTests('test/examples')]);
