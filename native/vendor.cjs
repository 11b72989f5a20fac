// Copies node-addon-api's headers and licence into native/third_party, for the tarball alone: who
// compiles from it needs nothing but a compiler. `prepack` runs it; `postpack` removes the copy.
'use strict';
const { copyFileSync, mkdirSync, rmSync } = require('node:fs');
const { dirname, join } = require('node:path');

const files = ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md'];
const source = dirname(require.resolve('node-addon-api/package.json'));
const target = join(__dirname, 'third_party', 'node-addon-api');

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const file of files) copyFileSync(join(source, file), join(target, file));
