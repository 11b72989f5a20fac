/** Opens a relative path and leaves the folder before that is done. */
import { safeOpen } from 'safetensors-mmap';

const [folder, path] = process.argv.slice(2);
process.chdir(folder);
const opening = safeOpen(path);
process.chdir('/');
const file = await opening;
file.check();
console.log(JSON.stringify({ path: file.path, value: file.getTensor('a').data[0], checked: true }));
