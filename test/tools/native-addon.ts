// The addon with AddressSanitizer and UndefinedBehaviorSanitizer, for a Node without them.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root } from './native-build.ts';

const SANITIZERS = '-fsanitize=address,undefined';

/** Builds it as npm does, but in a folder of its own, which is returned: what node-gyp-build takes. */
export function buildAddon(): string {
  const folder = join(root, 'out', 'native', 'addon');
  mkdirSync(folder, { recursive: true });
  for (const part of ['binding.gyp', 'native', 'node_modules', 'package.json']) {
    rmSync(join(folder, part), { force: true });
    symlinkSync(join(root, part), join(folder, part));
  }
  const gyp = join(root, 'node_modules', '.bin', 'node-gyp');
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'native', 'with-headers.cjs'),
      gyp,
      'configure',
      'build',
      '--loglevel=warn',
      `--jobs=${availableParallelism()}`,
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        CXX: 'g++', // whose runtimes are libraries that can be preloaded
        CXXFLAGS: `${SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer -g`,
        LDFLAGS: SANITIZERS,
      },
    },
  );
  if (status !== 0) throw new Error('the addon does not build with sanitizers');
  return folder;
}

/** The environment of a Node that loads it: the sanitizers' runtimes must be there before all else. */
export function preloaded(): NodeJS.ProcessEnv {
  const runtimes = ['libasan.so', 'libubsan.so'].map((library) =>
    execFileSync('g++', [`-print-file-name=${library}`], { encoding: 'utf8' }).trim(),
  );
  return {
    LD_PRELOAD: runtimes.join(':'),
    // V8 keeps much at exit, and lets go of much more than the addon ever has. SIGBUS is the guard's.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:handle_sigbus=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
}
