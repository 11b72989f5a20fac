/** An embeddings server: see README.md. */
import cluster from 'node:cluster';
import { parseOptions, type ServerOptions, USAGE } from './options.ts';

/** As the command line reports wrong usage. */
const WRONG_USAGE = 2;

let options: ServerOptions | undefined;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  console.error(`model-server: ${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  process.exitCode = WRONG_USAGE;
}
if (options !== undefined) {
  // Each process loads what it needs: the primary has no use for ONNX Runtime.
  if (cluster.isPrimary) await (await import('./primary.ts')).runPrimary(options);
  else (await import('./worker.ts')).runWorker(options);
}
