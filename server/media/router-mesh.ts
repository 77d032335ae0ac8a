/**
 * The routers of one room. It begins with one, its home; a viewer who finds that one full gets
 * another on a worker with room, and tracks are piped there when somebody on it is to see them.
 */
import type { types as ms } from "mediasoup";
import { ROUTER_CODECS } from "./codecs.ts";
import type { WorkerPool, WorkerSlot } from "./worker-pool.ts";

/** One router and what the mesh knows of it. */
export interface MeshRouter {
  readonly id: string;
  readonly router: ms.Router;
  readonly slot: WorkerSlot;
}

export class RouterMesh {
  readonly home: MeshRouter;
  readonly #pool: WorkerPool;
  readonly #maxConsumers: number;
  readonly #routers: MeshRouter[];
  /** Where each participant's transports live. */
  readonly #places = new Map<string, MeshRouter>();
  readonly #opening = new Map<WorkerSlot, Promise<MeshRouter>>();
  /** Tracks that were brought to another router, by "track router". */
  readonly #pipes = new Map<string, Promise<void>>();
  #closed = false;

  private constructor(pool: WorkerPool, maxConsumers: number, home: MeshRouter) {
    this.#pool = pool;
    this.#maxConsumers = maxConsumers;
    this.home = home;
    this.#routers = [home];
  }

  /** @param maxConsumers of one worker, before viewers are given another one */
  static async open(pool: WorkerPool, maxConsumers: number): Promise<RouterMesh> {
    for (;;) {
      const slot = await pool.acquire();
      try {
        return new RouterMesh(pool, maxConsumers, await openRouter(slot));
      } catch (error) {
        // The worker died just now: the pool has let go of it, its replacement does it.
        if (!slot.worker.closed) throw error;
      }
    }
  }

  /** One of its workers is gone, or it was closed. */
  get closed(): boolean {
    return this.#closed || this.#routers.some(({ router }) => router.closed);
  }

  get size(): number {
    return this.#routers.length;
  }

  uses(slot: WorkerSlot): boolean {
    return this.#routers.some((router) => router.slot === slot);
  }

  /** The router for a participant's transports: the same one for the whole stay. */
  async routerFor(participantId: string): Promise<MeshRouter> {
    const known = this.#places.get(participantId);
    if (known !== undefined) return known;
    const router = await this.#choose();
    // Two transports of one participant may ask at the same time.
    const first = this.#places.get(participantId) ?? router;
    this.#places.set(participantId, first);
    return first;
  }

  release(participantId: string): void {
    this.#places.delete(participantId);
  }

  byId(routerId: string): MeshRouter | undefined {
    return this.#routers.find(({ id }) => id === routerId);
  }

  /** Makes a track consumable on a router; the id stays the same there. */
  async bring(trackId: string, from: string, to: MeshRouter): Promise<void> {
    if (from === to.id) return;
    const key = `${trackId} ${to.id}`;
    const known = this.#pipes.get(key);
    if (known !== undefined) return known;
    const source = this.byId(from);
    if (source === undefined) throw new Error(`Expected a router of this room, got ${from}.`);
    const piping = source.router
      .pipeToRouter({ producerId: trackId, router: to.router })
      .then(({ pipeProducer }) => {
        pipeProducer?.observer.once("close", () => this.#pipes.delete(key));
      });
    this.#pipes.set(key, piping);
    // A track that ended meanwhile: the next one who wants it tries again.
    piping.catch(() => this.#pipes.delete(key));
    return piping;
  }

  close(): void {
    this.#closed = true;
    for (const { router } of this.#routers) router.close();
  }

  async #choose(): Promise<MeshRouter> {
    const roomiest = this.#routers.reduce((a, b) => (b.slot.consumers < a.slot.consumers ? b : a));
    if (roomiest.slot.consumers < this.#maxConsumers) {
      // Home first: each further router costs a pipe for each track.
      const free = ({ slot }: MeshRouter) => slot.consumers < this.#maxConsumers;
      return this.#routers.find(free) ?? roomiest;
    }
    const slot = this.#pool.roomiest((candidate) => !this.uses(candidate));
    if (slot === undefined || slot.consumers >= roomiest.slot.consumers) return roomiest;
    return this.#open(slot);
  }

  #open(slot: WorkerSlot): Promise<MeshRouter> {
    const opening =
      this.#opening.get(slot) ??
      openRouter(slot)
        .then((router) => {
          if (this.#closed) router.router.close();
          else this.#routers.push(router);
          return router;
        })
        .finally(() => this.#opening.delete(slot));
    this.#opening.set(slot, opening);
    return opening;
  }
}

async function openRouter(slot: WorkerSlot): Promise<MeshRouter> {
  const router = await slot.worker.createRouter({ mediaCodecs: ROUTER_CODECS });
  slot.routers++;
  router.observer.once("close", () => slot.routers--);
  return { id: router.id, router, slot };
}
