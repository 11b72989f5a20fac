/**
 * Tests of the adapters against the real libraries: installs those of test/backends (they are large, and
 * `npm ci` of the package itself leaves them alone), then runs its tests. What to run may be named:
 * `npm run test:backends -- onnxruntime`.
 */
import { installAndCompile, runTests } from './installed.ts';

const compiled = installAndCompile('test/backends');
if (!runTests('backends', 'test/backends') || !compiled) process.exitCode = 1;
