import type { JSX, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Playback } from "../media/playback.ts";
import type { VideoTrackKind } from "../state.ts";

interface TileVideoProps {
  participantId: string;
  original: MediaStreamTrack | null;
  generated: MediaStreamTrack | null;
  /** "held" keeps the last generated frame; "none" shows no picture, from this instant on. */
  show: VideoTrackKind | "held" | "none";
  playback: Playback;
  /** Tells which layer is on screen, so that the AI badge is true to the pixel. */
  onShown(layer: VideoTrackKind | null): void;
  /** Width by height of the picture on screen. */
  onAspect(aspect: number): void;
}

/** A frame stands in for a picture that is on its way for so long; then the tile says so. */
const HOLD_MS = 2_000;

/**
 * Two video elements on top of each other. A switch happens only when the new one has a fresh
 * frame; until then the old picture stays, and where its track goes before that, a copy of its last
 * frame: no black gap, no flash of a stale frame. What must not be seen any more is never kept.
 */
export function TileVideo(props: TileVideoProps): JSX.Element {
  const { participantId, original, generated, show, playback, onShown, onAspect } = props;
  const videos = {
    original: useRef<HTMLVideoElement>(null),
    generated: useRef<HTMLVideoElement>(null),
  };
  const tracks = { original, generated };
  const copy = useRef<HTMLCanvasElement>(null);
  const [shown, setShown] = useState<VideoTrackKind | null>(null);
  const [copied, setCopied] = useState<VideoTrackKind | null>(null);
  const latest = useRef({ shown, show });
  latest.current = { shown, show };

  /** A layer is about to lose its track, to `next` or to nothing. */
  const leaveTrack = (kind: VideoTrackKind, next: MediaStreamTrack | null): void => {
    const { show, shown } = latest.current;
    if (shown !== kind) return;
    // The server closes what must not be seen and only pauses what is not shown: a track that ends
    // without a successor leaves at once, unless another picture is known to follow.
    const follows = next !== null || (kind === "generated" && show === "original");
    const allowed = show === kind || (kind === "generated" && show !== "none");
    if (!follows || !allowed) setShown(null);
    else if (draw(videos[kind].current, copy.current)) setCopied(kind);
  };
  useTrack(videos.original, original, playback, (next) => leaveTrack("original", next));
  useTrack(videos.generated, generated, playback, (next) => leaveTrack("generated", next));

  // Before the next picture is painted: what must not be seen is not there any more.
  useLayoutEffect(() => {
    const mayStay = show !== "none" && (show !== "held" || shown !== "original");
    if (mayStay) return;
    setShown(null);
    setCopied(null);
  }, [show, shown]);
  useLayoutEffect(() => {
    // Nothing of an old picture stays in the page.
    if (copied === null && copy.current !== null) copy.current.width = 0;
  }, [copied]);

  useEffect(() => {
    if (show === "held" || show === "none") return;
    const video = videos[show].current;
    if (video === null || tracks[show] === null) return;
    return onNextFrame(video, () => {
      setShown(show);
      setCopied(null);
    });
  }, [show, original, generated]);

  useEffect(() => {
    if (copied === null) return;
    const timer = setTimeout(() => {
      setCopied(null);
      // Nothing came in its place: the avatar, until something does.
      setShown(null);
    }, HOLD_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  useEffect(() => onShown(shown), [shown]);
  const tellAspect = (kind: VideoTrackKind): void => {
    const video = videos[kind].current;
    if (kind !== shown || video === null || video.videoWidth === 0) return;
    onAspect(video.videoWidth / video.videoHeight);
  };
  useEffect(() => {
    if (shown !== null) tellAspect(shown);
  }, [shown]);

  const layer = (kind: VideoTrackKind): JSX.Element => (
    <video
      ref={videos[kind]}
      class={`layer layer-${kind}`}
      data-participant={participantId}
      data-track={kind}
      data-shown={shown === kind}
      autoplay
      playsinline
      muted
      disablepictureinpicture
      onResize={() => tellAspect(kind)}
    />
  );
  return (
    <div class={show === "held" ? "layers held" : "layers"}>
      {layer("original")}
      {layer("generated")}
      <canvas ref={copy} class="layer" data-shown={copied !== null} />
    </div>
  );
}

/** A video element that plays `track`. */
export function useVideo(track: MediaStreamTrack | null, playback: Playback) {
  const ref = useRef<HTMLVideoElement>(null);
  useTrack(ref, track, playback, () => undefined);
  return ref;
}

/** @param leaving called before the element loses a track that it plays, with the next one */
function useTrack(
  ref: RefObject<HTMLVideoElement | null>,
  track: MediaStreamTrack | null,
  playback: Playback,
  leaving: (next: MediaStreamTrack | null) => void,
): void {
  useLayoutEffect(() => {
    const video = ref.current;
    if (video === null) return;
    if (video.srcObject !== null) leaving(track);
    video.srcObject = track === null ? null : new MediaStream([track]);
    if (track === null) playback.forget(video);
    else void playback.start(video);
  }, [track]);
  useEffect(() => {
    const video = ref.current;
    return () => {
      if (video === null) return;
      playback.forget(video);
      video.srcObject = null;
    };
  }, []);
}

/** Copies the frame that the element shows; false where it shows none. */
function draw(video: HTMLVideoElement | null, canvas: HTMLCanvasElement | null): boolean {
  const context = canvas?.getContext("2d");
  if (!video || !canvas || !context || video.videoWidth === 0) return false;
  // Of a track that has ended browsers draw black.
  const live = (video.srcObject as MediaStream | null)?.getTracks()[0]?.readyState === "live";
  if (!live) return false;
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  context.drawImage(video, 0, 0);
  return true;
}

/** Calls back when the element shows its next new frame; the result cancels that. */
function onNextFrame(video: HTMLVideoElement, callback: () => void): () => void {
  if ("requestVideoFrameCallback" in video) {
    const handle = video.requestVideoFrameCallback(() => callback());
    return () => video.cancelVideoFrameCallback(handle);
  }
  // Firefox before 132: the first "timeupdate" after the change is close enough.
  const element = video as HTMLVideoElement;
  element.addEventListener("timeupdate", callback, { once: true });
  return () => element.removeEventListener("timeupdate", callback);
}
