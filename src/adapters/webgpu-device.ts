/** What is used of a GPUQueue. */
export interface GpuQueue {
  writeBuffer(...args: never): unknown;
  onSubmittedWorkDone(): Promise<unknown>;
}

/** What is used of GPUSupportedLimits, in bytes. */
export interface GpuLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

/** What is used of a GPUDevice. */
export interface GpuDevice {
  readonly queue: GpuQueue;
  readonly limits: GpuLimits;
  createBuffer(...args: never): { destroy(): unknown };
}

/** The buffer of that device. */
export type GpuBuffer<Device extends GpuDevice> = ReturnType<Device['createBuffer']>;
