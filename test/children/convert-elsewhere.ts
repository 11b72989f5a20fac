// Converts to relative paths, and goes elsewhere meanwhile: convert-elsewhere.js CHECKPOINT FOLDER.
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { convertCheckpoint } from 'safetensors-mmap/convert';

const [, , checkpoint, folder] = process.argv;
const [here, elsewhere] = ['here', 'elsewhere'].map((name) => join(folder, name));
const model = join(here, 'in');
for (const path of [here, elsewhere, model]) mkdirSync(path);
const onProgress = () => process.chdir(elsewhere);
process.chdir(here);
const { files } = await convertCheckpoint(checkpoint, 'here.safetensors', { onProgress });
process.chdir(here);
const shard = 'pytorch_model-1.bin';
copyFileSync(checkpoint, join(model, shard));
const weights = JSON.stringify({ weight_map: { w: shard } });
writeFileSync(join(model, 'pytorch_model.bin.index.json'), weights);
const { index } = await convertCheckpoint('in', 'out', { onProgress });
const outputs = ['here.safetensors', 'out/model-1.safetensors', index ?? ''];
const there = outputs.every((path) => existsSync(join(here, path)));
console.log(JSON.stringify({ output: files[0].output, there, index }));
