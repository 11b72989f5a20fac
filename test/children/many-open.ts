/** Holds a file open many times over; prints how many descriptors that takes. */
import { safeOpen } from 'safetensors-mmap';
import { holdings } from './support/process.js';

const [path, count] = process.argv.slice(2);
const files = await Promise.all(Array.from({ length: Number(count) }, () => safeOpen(path)));
const views = files.map((file) => file.getTensor('a').data);
console.log(JSON.stringify({ open: views.length, descriptors: holdings(path).descriptors }));
