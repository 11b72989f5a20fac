import { availableParallelism } from 'node:os';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const USAGE = `node out/model-server/main.js --model FOLDER
  --model FOLDER         config.json, model.safetensors (or shards), tokenizer.json (for texts)
  --name NAME            what requests call it; the folder's name by default
  --host HOST --port N   where it listens: 127.0.0.1 and 8080
  --operator-port N      /metrics, /healthz and POST /model, on 127.0.0.1 only: 8081
  --operator-host NAME   by which that port may be asked too, beside localhost; may be repeated
  --workers N            processes; as many as there are CPUs by default
  --threads N            of ONNX Runtime in each: 1
  --max-queue N          requests that a worker has at once: 256
  --worker-seconds N     for a worker to have a model ready, or it is replaced: 600
  --answer-seconds N     for a worker to answer that it is there, or it is replaced: 30
  --drain-seconds N      for requests under way when the server is to end: 30
  --loading mmap         or readFile, to compare with`;

/** How weights come into memory. */
export type Loading = 'mmap' | 'readFile';

export interface ServerOptions {
  readonly model: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly operatorPort: number;
  /** Names by which the operator's port may be asked, beside those of this machine to itself. */
  readonly operatorHosts: readonly string[];
  readonly workers: number;
  readonly threads: number;
  readonly maxQueue: number;
  readonly workerSeconds: number;
  readonly answerSeconds: number;
  readonly drainSeconds: number;
  readonly loading: Loading;
}

/** @throws {Error} that says what is wrong with the arguments */
export function parseOptions(args: readonly string[]): ServerOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string' },
      name: { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '8080' },
      'operator-port': { type: 'string', default: '8081' },
      'operator-host': { type: 'string', multiple: true, default: [] },
      workers: { type: 'string', default: String(availableParallelism()) },
      threads: { type: 'string', default: '1' },
      'max-queue': { type: 'string', default: '256' },
      'worker-seconds': { type: 'string', default: '600' },
      'answer-seconds': { type: 'string', default: '30' },
      'drain-seconds': { type: 'string', default: '30' },
      loading: { type: 'string', default: 'mmap' },
    },
  });
  const { model, loading, host } = values;
  if (model === undefined) throw new Error('--model is missing');
  if (loading !== 'mmap' && loading !== 'readFile') {
    throw new Error(`--loading is mmap or readFile, not ${loading}`);
  }
  const number = (name: keyof typeof values, least: number, most: number) => {
    const text = String(values[name]);
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new Error(`--${name} is a whole number from ${least} to ${most}, not ${text}`);
  };
  return {
    model: resolve(model),
    name: values.name ?? basename(resolve(model)),
    host,
    port: number('port', 0, 65_535),
    operatorPort: number('operator-port', 0, 65_535),
    operatorHosts: values['operator-host'],
    workers: number('workers', 1, 256),
    threads: number('threads', 1, 256),
    maxQueue: number('max-queue', 1, 1_000_000),
    workerSeconds: number('worker-seconds', 1, 86_400),
    answerSeconds: number('answer-seconds', 1, 86_400),
    drainSeconds: number('drain-seconds', 0, 3600),
    loading,
  };
}
