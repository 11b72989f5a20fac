// node native/with-headers.cjs COMMAND [ARG...]: runs a command of node_modules/.bin that compiles
// the addon. Node's own headers are used where they lie beside the running Node
// (<prefix>/include/node), so that node-gyp downloads none; a `nodedir` that the user set is kept.
'use strict';
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');

const [command, ...args] = process.argv.slice(2);
const env = { ...process.env };
const prefix = join(dirname(process.execPath), '..');
if (!env.npm_config_nodedir && existsSync(join(prefix, 'include', 'node', 'node_api.h'))) {
  env.npm_config_nodedir = prefix;
}

const { status, error } = spawnSync(command, args, { stdio: 'inherit', env });
if (error) throw error;
process.exit(status ?? 1);
