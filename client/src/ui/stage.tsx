import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Playback } from "../media/playback.ts";
import type { RoomControls } from "../room/room.ts";
import type { AppState } from "../state.ts";
import { type Store, sameElements, useSelector } from "../store.ts";
import { arrange, aspectChanged, MAX_LARGE } from "./layout.ts";
import { Tile } from "./tile.tsx";
import { useSpeaker } from "./use-speaker.ts";
import { ViewObserver } from "./view-observer.ts";

interface StageProps {
  store: Store<AppState>;
  room: RoomControls;
  playback: Playback;
}

const GAP = 12;
const SMALL_GAP = 8;
/** Of a tile whose picture has not come yet. */
const USUAL_ASPECT = 16 / 9;
/** Wider or taller pictures get bars: a strip is no tile. */
const EXTREMES = [9 / 21, 21 / 9] as const;

/** Everybody's tiles, as large as the window allows. */
export function Stage({ store, room, playback }: StageProps): JSX.Element {
  const ids = useSelector(store, order, sameElements);
  const [aspects, setAspects] = useState<Readonly<Record<string, number>>>({});
  const [grid, setGrid] = useState(false);
  const [scrolled, setScrolled] = useState(0);
  const [tiles, size] = useSize();
  const speaker = useSpeaker(room);
  const view = useMemo(() => new ViewObserver((seen) => room.reportView(seen)), [room]);

  const big = ids.length > MAX_LARGE;
  const pinned = big && !grid ? Math.max(0, ids.indexOf(speaker ?? firstOther(ids, store))) : null;
  const known = ids.map((id) => aspects[id] ?? USUAL_ASPECT);
  const gap = big ? SMALL_GAP : GAP;
  const layout = arrange(known, { ...size, gap }, pinned);
  const follow = (id: string, aspect: number): void => {
    const next = Math.min(Math.max(aspect, EXTREMES[0]), EXTREMES[1]);
    setAspects((before) =>
      aspectChanged(before[id] ?? USUAL_ASPECT, next) ? { ...before, [id]: next } : before,
    );
  };

  return (
    <main class="stage">
      {big && (
        <div class="stage-bar">
          <span class="faint">{ids.length} people</span>
          <button
            type="button"
            class="button small quiet"
            aria-pressed={grid}
            onClick={() => setGrid(!grid)}
          >
            {grid ? "Show who speaks large" : "Show everybody alike"}
          </button>
        </div>
      )}
      <div
        class={layout.height > size.height ? "tiles scrolls" : "tiles"}
        ref={tiles}
        style={{ "--scrolled": `${scrolled}px` }}
        onScroll={(event) => setScrolled(event.currentTarget.scrollTop)}
        // What scrolls has to be reachable by keys as well.
        tabIndex={layout.height > size.height && size.height > 0 ? 0 : undefined}
      >
        <div class="tiles-canvas" style={{ height: `${layout.height}px` }}>
          {ids.map((id, index) => (
            <Tile
              key={id}
              participantId={id}
              store={store}
              room={room}
              playback={playback}
              view={view}
              box={layout.boxes[index] ?? { left: 0, top: 0, width: 0, height: 0 }}
              pinned={index === pinned}
              speaking={id === speaker}
              onAspect={follow}
            />
          ))}
        </div>
      </div>
      {ids.length === 1 && (
        <p class="alone">You are alone here. Copy the link and send it to somebody.</p>
      )}
    </main>
  );
}

/** Oneself first, or last without a camera; the others in the order of arrival. */
function order({ people, selfId, local, mayPublish }: AppState): string[] {
  const own = mayPublish && local.cameraOn ? -1 : 1;
  return Object.values(people)
    .sort((a, b) => {
      if (a.info.participantId === selfId) return own;
      if (b.info.participantId === selfId) return -own;
      return a.info.joinedAtMs - b.info.joinedAtMs;
    })
    .map(({ info }) => info.participantId);
}

/** Nobody has spoken yet: the first of the others is large. */
function firstOther(ids: readonly string[], store: Store<AppState>): string {
  const { selfId } = store.get();
  return ids.find((id) => id !== selfId) ?? "";
}

/** Width and height of an element's content box, kept up to date. */
function useSize() {
  const ref = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry === undefined) return;
      const { width, height } = entry.contentRect;
      // In the narrow layout the page scrolls and the box is as high as its tiles: no limit.
      const scrolls = matchMedia("(max-width: 760px)").matches;
      setSize({ width: Math.floor(width), height: scrolls ? 0 : Math.floor(height) });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, size] as const;
}
