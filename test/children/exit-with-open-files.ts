/** Ends with files open, views taken and openings under way, in the way that it is told. */
import { Worker } from 'node:worker_threads';
import { safeOpen, safeOpenSync } from 'safetensors-mmap';

const [path, tensor, way] = process.argv.slice(2);

const views = [];
for (let i = 0; i < 20; i++) {
  const file = safeOpenSync(path);
  views.push(file.getTensor(tensor).data);
}
const opening = Array.from({ length: 50 }, () => safeOpen(path));
if (way === 'exit') process.exit(0);
if (way === 'exit-from-promise') opening[0].then(() => process.exit(0));
if (way === 'uncaught') {
  process.on('uncaughtException', () => process.exit(0));
  throw new Error('on purpose');
}
if (way === 'worker-exits') {
  new Worker(
    `import { safeOpenSync } from 'safetensors-mmap';
     const file = safeOpenSync(${JSON.stringify(path)});
     globalThis.view = file.getTensor(${JSON.stringify(tensor)}).data;
     process.exit(0);`,
    { eval: true },
  );
}
