/** Opens a model, and prints what it has of its tensors, and what the process takes its system for. */
import { release } from 'node:os';
import { openModel } from 'safetensors-mmap';

const [path] = process.argv.slice(2);
using model = await openModel(path);
const tensors = model
  .keys()
  .map((name) => [name, model.info(name), model.getTensor(name).bytes[0] ?? null]);
console.log(JSON.stringify({ scans: 'WebAssembly' in globalThis, release: release(), tensors }));
