import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { VideoTrackKind } from "../state.ts";

interface TileVideoProps {
  participantId: string;
  original: MediaStreamTrack | null;
  generated: MediaStreamTrack | null;
  /** "held" keeps whatever frame is there; "none" shows no picture. */
  show: VideoTrackKind | "held" | "none";
  /** Tells which layer is on screen, so that the AI badge is true to the pixel. */
  onShown(layer: VideoTrackKind | null): void;
}

/**
 * Two video elements on top of each other. A switch happens only when the new one has a fresh
 * frame, and until then the old picture stays: no black flash, no flash of a stale frame.
 */
export function TileVideo(props: TileVideoProps): JSX.Element {
  const { participantId, original, generated, show, onShown } = props;
  const layers = { original: useVideo(original), generated: useVideo(generated) };
  const [shown, setShown] = useState<VideoTrackKind | null>(null);

  useEffect(() => {
    if (show === "held") return;
    if (show === "none") {
      setShown(null);
      return;
    }
    const video = layers[show].current;
    if (video === null) return;
    return onNextFrame(video, () => setShown(show));
  }, [show, original, generated]);

  useEffect(() => onShown(shown), [shown]);

  const layer = (kind: VideoTrackKind): JSX.Element => (
    <video
      ref={layers[kind]}
      class={`layer layer-${kind}`}
      data-participant={participantId}
      data-track={kind}
      data-shown={shown === kind}
      autoplay
      playsinline
      muted
      disablepictureinpicture
    />
  );
  return (
    <div class={show === "held" ? "layers held" : "layers"}>
      {layer("original")}
      {layer("generated")}
    </div>
  );
}

/** A video element that plays `track`. */
export function useVideo(track: MediaStreamTrack | null) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = ref.current;
    if (video === null) return;
    video.srcObject = track === null ? null : new MediaStream([track]);
    return () => {
      video.srcObject = null;
    };
  }, [track]);
  return ref;
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
