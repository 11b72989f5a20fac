/** Keeps one view of a file and nothing else, then not even that; prints what is mapped each time. */
import { loadFile, safeOpenSync } from 'safetensors-mmap';
import { collectGarbage, holdings } from './support/process.js';

const [path, tensor, way] = process.argv.slice(2);

async function takeView() {
  if (way === 'loadFile') return (await loadFile(path)).get(tensor)?.data;
  return safeOpenSync(path).getTensor(tensor).data;
}

let view = await takeView();
await collectGarbage();
const held = holdings(path);
const values = Array.from(view ?? [], Number);
view = undefined;
await collectGarbage();
console.log(JSON.stringify({ values, held, dropped: holdings(path) }));
