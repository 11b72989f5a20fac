// What binding.gyp asks of Node while it is read.
// In a checkout node-addon-api is a dev dependency; a published tarball carries its headers in
// native/third_party instead (native/vendor.cjs), so that users need nothing to compile.
'use strict';
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');

const isCheckout = existsSync(join(__dirname, '..', '.git'));
const vendored = join(__dirname, 'third_party', 'node-addon-api');
const answers = {
  // Not the vendored copy in a checkout, where a pack that was cut short may have left an old one;
  // not what resolves outside one, which may be anybody's version.
  include: () =>
    !isCheckout && existsSync(vendored)
      ? vendored
      : dirname(require.resolve('node-addon-api/package.json')),
  warnings: () => `-Wall -Wextra${isCheckout ? ' -Werror' : ''}`,
};

console.log(answers[process.argv[2]]());
