import { collectGarbage } from '../git/maintenance.ts';
import type { MaintenanceOptions } from '../git/odb/repack.ts';
import { GitStore } from '../store/git-store.ts';

declare module '../store/git-store.ts' {
  interface GitStore {
    /**
     * Puts all loose objects into one pack and gives their number. Other processes, mounts and git
     * among them, may read and write meanwhile. Objects that no ref leads to are kept. An object
     * that is damaged is a `CorruptObjectError`, and nothing is changed.
     */
    pack(options?: MaintenanceOptions): Promise<number>;

    /**
     * As `pack`, and removes temporary files that processes left behind when they were ended; with
     * git on the `PATH` it also writes a commit-graph and an index over all packs. Nothing is pruned.
     */
    gc(options?: MaintenanceOptions): Promise<number>;
  }
}

GitStore.prototype.pack = async function (this: GitStore, options = {}) {
  return this.context.repository.odb.packLoose(options);
};

GitStore.prototype.gc = async function (this: GitStore, options = {}) {
  return collectGarbage(this.context.repository, options);
};
