import { Fleet } from './fleet.ts';
import { failureOf } from './messages.ts';
import { buildOperator } from './operator.ts';
import type { ServerOptions } from './options.ts';

/** Starts the workers and the operator's port, and ends them. */
export async function runPrimary(options: ServerOptions): Promise<void> {
  const fleet = new Fleet(options);
  const operator = buildOperator(fleet, options);
  let ending = false;
  const end = async (exitCode: number) => {
    if (ending) return;
    ending = true;
    const inTime = await fleet.end();
    await operator.close();
    if (!inTime) log('requests were still under way when the time for them was over');
    process.exit(inTime ? exitCode : 1);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void end(0));
  process.on('SIGHUP', () => void reload(fleet));
  fleet.on('lost', (worker, reason) => log(`worker ${worker.process.pid} is lost: ${reason}`));
  fleet.on('stuck', (error) => log(`a worker does not start: ${failureOf(error).message}`));

  try {
    await operator.listen({ host: '127.0.0.1', port: options.operatorPort });
    await fleet.start();
  } catch (error) {
    log(`it does not start: ${failureOf(error).message}`);
    return end(1);
  }
  const { model, name, workers, host, port } = options;
  log(`${workers} workers serve ${model} as ${name} on http://${host}:${port}/v1/embeddings`);
}

/** The same path again: the files there may have been replaced. */
async function reload(fleet: Fleet): Promise<void> {
  if (fleet.release === undefined) return;
  try {
    const { path, version } = await fleet.install(fleet.release.path);
    log(`serving ${path}, version ${version}`);
  } catch (error) {
    log(`refused, and the earlier model stays: ${failureOf(error).message}`);
  }
}

function log(message: string): void {
  console.error(`model-server: ${message}`);
}
