export { convertCheckpoint } from './convert.ts';
export { linksOf, withLinks } from './links.ts';
export type { ConvertOptions } from './options.ts';
export type { Conversion, ConvertedFile, ConvertedTensor } from './planned.ts';
export type { ScannedCall, ScannedFile, ScannedGlobal, ScanVerdict } from './report.ts';
export { type ScanOptions, scanCheckpoint } from './scan.ts';
export type { TargetDtype } from './target.ts';
export type { OtherLeaf } from './tree.ts';
