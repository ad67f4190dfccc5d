import { join } from 'node:path';
import { readFully, writeFully } from '../read-write-fully.ts';
import { pieceBytes } from './deflate.ts';
import { TemporaryFile } from './temporary-file.ts';

/**
 * Content that waits in a file without a name until all of it has come and its size is known: it
 * takes room in the object directory, and is gone when it is closed or the process ends.
 */
export class Spool {
  readonly #file: TemporaryFile;
  #sizeBytes = 0;

  private constructor(file: TemporaryFile) {
    this.#file = file;
  }

  /** Takes in all pieces. Errors of theirs and of the disk come as they are, and nothing is left. */
  static async fill(objectsDirectory: string, pieces: AsyncIterable<Buffer>): Promise<Spool> {
    const directory = join(objectsDirectory, 'pack');
    const spool = new Spool(await TemporaryFile.create(directory, 'tmp_spool_vost_'));
    try {
      await spool.#file.unlink();
      for await (const piece of pieces) {
        await writeFully(spool.#file.handle, piece, spool.#sizeBytes);
        spool.#sizeBytes += piece.length;
      }
      return spool;
    } catch (error) {
      await spool.close();
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The content again, in pieces of `pieceBytes`. */
  async *pieces(): AsyncGenerator<Buffer, void, undefined> {
    for (let position = 0; position < this.#sizeBytes; position += pieceBytes) {
      yield await readFully(this.#file.handle, position, pieceBytes);
    }
  }

  /** Gives the room back. */
  async close(): Promise<void> {
    await this.#file.handle.close();
  }
}
