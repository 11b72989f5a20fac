/**
 * What becomes of SIGBUS, and of lost pages, when others handle the signal too; prints what it finds, unless
 * it is to end by the signal.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, truncateSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

const [folder, way] = process.argv.slice(2);

type Package = typeof import('safetensors-mmap');

const BYTES = 2 ** 20;
const SIGBUS = 7; // on Linux
let made = 0;

/** A file of ones that is open, and loses all but its first page when that is called. */
async function openLosing({ saveFile, safeOpenSync }: Package, faultGuard = true) {
  const path = `${folder}/${made++}.safetensors`;
  const data = new Uint8Array(BYTES).fill(1);
  await saveFile({ x: { dtype: 'U8', shape: [BYTES], data } }, path, { fsync: false });
  const file = safeOpenSync(path, { faultGuard });
  const view = file.getTensor('x').data as Uint8Array;
  return { file, view, lose: () => truncateSync(path, 4096) };
}

type Losing = Awaited<ReturnType<typeof openLosing>>;

/** Whether a view can be read to its end, as zeros. Ends the process, or never, when nobody helps. */
function survives({ view, lose }: Losing): boolean {
  lose();
  return view[0] === 1 && view[BYTES - 1] === 0 && view[BYTES / 2] === 0;
}

function isCaught(): boolean {
  const status = readFileSync('/proc/self/status', 'utf8');
  const caught = BigInt(`0x${/SigCgt:\s*([0-9a-f]+)/.exec(status)?.[1]}`);
  return ((caught >> BigInt(SIGBUS - 1)) & 1n) === 1n;
}

async function send(): Promise<void> {
  process.kill(process.pid, 'SIGBUS');
  await sleep(100);
}

function load(): Promise<Package> {
  return import('safetensors-mmap');
}

/** Another copy of the package, with an addon of its own. */
async function loadCopy(): Promise<Package> {
  const root = fileURLToPath(new URL('..', import.meta.resolve('safetensors-mmap')));
  const copy = `${folder}/copy`;
  mkdirSync(copy);
  for (const part of ['package.json', 'lib', 'build/Release', 'prebuilds']) {
    if (existsSync(root + part)) cpSync(root + part, `${copy}/${part}`, { recursive: true });
  }
  symlinkSync(`${root}node_modules`, `${copy}/node_modules`);
  return import(pathToFileURL(`${copy}/lib/index.js`).href);
}

const ways: Record<string, () => Promise<unknown>> = {
  'not guarded': async () => {
    const before = isCaught();
    const { file } = await openLosing(await load(), false);
    file.check();
    return { before, after: isCaught() };
  },
  guarded: async () => {
    const before = isCaught();
    await openLosing(await load());
    return { before, after: isCaught() };
  },
  sent: async () => {
    await openLosing(await load());
    await send();
  },
  'fault elsewhere': async () => {
    const ours = await load();
    await openLosing(ours);
    return survives(await openLosing(ours, false));
  },
  'a listener, and check()': async () => {
    const ours = await load();
    const losing = await openLosing(ours);
    let heard = 0;
    process.on('SIGBUS', () => heard++);
    losing.file.check();
    const survived = survives(losing);
    await send();
    return { survived, heard };
  },
  ...Object.fromEntries(
    Object.entries({
      decode: ({ file }: Losing) => file.getTensor('x').toFloat32(),
      decodeAsync: ({ file }: Losing) => file.getTensor('x').toFloat32Async(),
      gather: ({ file }: Losing) => file.getTensor('x').slice([0, BYTES, 2]),
      prefetch: ({ file }: Losing) => file.prefetch(),
      save: async ({ file }: Losing) => {
        const { saveFile } = await load();
        await saveFile(file, `${folder}/copy.safetensors`, { fsync: false });
      },
    }).map(([name, use]) => [
      `a listener, and ${name}`,
      async () => {
        const losing = await openLosing(await load());
        let heard = 0;
        process.on('SIGBUS', () => heard++);
        await use(losing);
        const survived = survives(losing);
        await send();
        return { survived, heard };
      },
    ]),
  ),
  'a listener, and another file': async () => {
    const ours = await load();
    const losing = await openLosing(ours);
    let heard = 0;
    process.on('SIGBUS', () => heard++);
    await openLosing(ours);
    const survived = survives(losing);
    await send();
    return { survived, heard };
  },
  'a listener before': async () => {
    let heard = 0;
    process.on('SIGBUS', () => heard++);
    const survived = survives(await openLosing(await load()));
    await send();
    return { survived, heard };
  },
  'a listener that has gone': async () => {
    const ours = await load();
    const losing = await openLosing(ours);
    const listener = () => {};
    process.on('SIGBUS', listener).off('SIGBUS', listener);
    losing.file.check();
    return { survived: survives(losing), caught: isCaught() };
  },
  'two copies': async () => {
    const copies = [await load(), await loadCopy()];
    const rounds: boolean[] = [];
    // Each finds the handler of the other in front of its own.
    for (const ours of [...copies, ...copies]) {
      const losing = [await openLosing(copies[0]), await openLosing(copies[1])];
      await openLosing(ours);
      rounds.push(...losing.map(survives));
    }
    return rounds;
  },
  'two copies, sent': async () => {
    await ways['two copies']();
    await send();
  },
  'two copies, fault elsewhere': async () => {
    await ways['two copies']();
    return survives(await openLosing(await load(), false));
  },
  'two copies and a listener': async () => {
    let heard = 0;
    process.on('SIGBUS', () => heard++);
    await ways['two copies']();
    await send();
    return { heard };
  },
  'a worker that has gone': async () => {
    const script = `
      import { safeOpenSync, saveFile } from 'safetensors-mmap';
      const path = ${JSON.stringify(`${folder}/worker.safetensors`)};
      await saveFile({ x: { dtype: 'U8', shape: [1], data: new Uint8Array(1) } }, path);
      safeOpenSync(path).close();`;
    const worker = new Worker(script, { eval: true });
    const failed = new Promise((_, reject) => worker.once('error', reject));
    await Promise.race([new Promise((resolve) => worker.once('exit', resolve)), failed]);
    if (!isCaught()) throw new Error('the worker has not opened the file');
    await send();
  },
};

console.log(JSON.stringify(await ways[way]()));
