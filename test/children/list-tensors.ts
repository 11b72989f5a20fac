/** Opens a model, and prints what it says of its tensors; whether this process has WebAssembly. */
import { openModel } from 'safetensors-mmap';

const [path] = process.argv.slice(2);
using model = await openModel(path);
const tensors = model.keys().map((name) => [name, model.info(name)]);
console.log(JSON.stringify({ scans: 'WebAssembly' in globalThis, tensors }));
