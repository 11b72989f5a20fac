export type { RemoteOptions } from './options.ts';
export { RemoteHeader, type RemoteTensor, readRemoteHeader } from './remote-header.ts';
export { type RemoteModel, readRemoteModel } from './remote-model.ts';
