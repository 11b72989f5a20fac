/**
 * Tests of the examples that have libraries of their own: installs those, then runs test/examples. What to
 * run may be named: `npm run test:examples -- encoder`.
 */
import { installAndCompile, report, runTests } from './installed.ts';

const EXAMPLES = ['examples/encoder', 'examples/model-server'];

const compiled = EXAMPLES.map(installAndCompile);
report('examples', !compiled.includes(false), [runTests('test/examples')]);
