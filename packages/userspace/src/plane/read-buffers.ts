/** Sizes that a stream's read buffer steps through: small for idle connections, large in a burst. */
const SIZES = [2 * 1024, 16 * 1024, 64 * 1024, 256 * 1024] as const;
/** All grown buffers together: beyond this bursts go on with the buffers that they have. */
const MAX_GROWN_BYTES = 256 * 1024 * 1024;
/** Free grown buffers that are kept for the next burst. */
const MAX_POOLED_BYTES = 16 * 1024 * 1024;
/** Small buffers are cut from slabs: an allocation of its own costs 100 bytes and more. */
const SLAB_BYTES = 128 * 1024;

export const SMALLEST_READ_BUFFER_BYTES: number = SIZES[0];
export const LARGEST_READ_BUFFER_BYTES: number = SIZES[3];

/** The read buffers of one process. */
export class ReadBuffers {
  readonly #free: Uint8Array[][] = SIZES.map(() => []);
  #grownBytes = 0;
  #pooledBytes = 0;
  #slab = new Uint8Array(0);
  #slabUsed = 0;

  /** Bytes in grown buffers that are in use. */
  get grownBytes(): number {
    return this.#grownBytes;
  }

  take(): Uint8Array {
    const free = this.#free[0]?.pop();
    if (free !== undefined) return free;
    const size = SIZES[0];
    if (this.#slabUsed + size > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabUsed = 0;
    }
    this.#slabUsed += size;
    return this.#slab.subarray(this.#slabUsed - size, this.#slabUsed);
  }

  /** A larger buffer in place of this one; the same where it cannot grow. */
  grow(buffer: Uint8Array): Uint8Array {
    return this.#replace(buffer, sizeIndex(buffer.length) + 1);
  }

  /** The next smaller buffer in place of this one. */
  stepDown(buffer: Uint8Array): Uint8Array {
    const index = sizeIndex(buffer.length) - 1;
    return index <= 0 ? this.shrink(buffer) : this.#replace(buffer, index);
  }

  #replace(buffer: Uint8Array, index: number): Uint8Array {
    const size = SIZES[index];
    if (size === undefined || this.#grownBytes + size > MAX_GROWN_BYTES) return buffer;
    this.release(buffer);
    this.#grownBytes += size;
    const free = this.#free[index]?.pop();
    if (free === undefined) return new Uint8Array(size);
    this.#pooledBytes -= size;
    return free;
  }

  /** The smallest buffer in place of this one. */
  shrink(buffer: Uint8Array): Uint8Array {
    if (buffer.length === SIZES[0]) return buffer;
    this.release(buffer);
    return this.take();
  }

  release(buffer: Uint8Array): void {
    const index = sizeIndex(buffer.length);
    if (index > 0) {
      this.#grownBytes -= buffer.length;
      if (this.#pooledBytes + buffer.length > MAX_POOLED_BYTES) return;
      this.#pooledBytes += buffer.length;
    }
    this.#free[index]?.push(buffer);
  }
}

function sizeIndex(length: number): number {
  return SIZES.findIndex((size) => length <= size);
}
