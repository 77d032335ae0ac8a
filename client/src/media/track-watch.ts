/** Follows a local track that the system may take away for a while: a phone call, a closed lid. */

/** Cameras that start or change their size are silent for a moment: that is no interruption. */
const PATIENCE_MS = 700;

export interface TrackWatch {
  /** The track gives nothing for now, or gives again. */
  interrupted(interrupted: boolean): void;
  /** The device is gone for good: unplugged, or taken by another program. */
  ended(): void;
}

/** What this needs of a MediaStreamTrack. */
export type WatchedTrack = Pick<
  MediaStreamTrack,
  "muted" | "addEventListener" | "removeEventListener"
>;

/** Returns what ends the watch. Stopping a track by one's own hand is not reported. */
export function watchTrack(
  track: WatchedTrack,
  watch: TrackWatch,
  patienceMs = PATIENCE_MS,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let told = false;
  const tell = (interrupted: boolean): void => {
    if (told === interrupted) return;
    told = interrupted;
    watch.interrupted(interrupted);
  };
  const onMute = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => tell(track.muted), patienceMs);
  };
  const onUnmute = (): void => {
    clearTimeout(timer);
    tell(false);
  };
  const onEnded = (): void => watch.ended();
  track.addEventListener("mute", onMute);
  track.addEventListener("unmute", onUnmute);
  track.addEventListener("ended", onEnded);
  if (track.muted) onMute();
  return () => {
    clearTimeout(timer);
    track.removeEventListener("mute", onMute);
    track.removeEventListener("unmute", onUnmute);
    track.removeEventListener("ended", onEnded);
  };
}
