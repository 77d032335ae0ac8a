import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface RemoteAudioProps {
  participantId: string;
  track: MediaStreamTrack;
  /** The browser refuses to play before the person has touched the page. */
  onBlocked(): void;
  onPlaying(): void;
}

/** Plays a participant's voice. */
export function RemoteAudio(props: RemoteAudioProps): JSX.Element {
  const { participantId, track, onBlocked, onPlaying } = props;
  const ref = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const audio = ref.current;
    if (audio === null) return;
    const play = (): void => {
      audio.play().then(onPlaying, (error: unknown) => {
        // AbortError only says that a newer track took the element over.
        if (error instanceof DOMException && error.name === "NotAllowedError") onBlocked();
      });
    };
    audio.srcObject = new MediaStream([track]);
    play();
    document.addEventListener("pointerdown", play);
    return () => {
      document.removeEventListener("pointerdown", play);
      audio.srcObject = null;
    };
  }, [track]);
  // Voices have no text track: captions of a live call do not exist here.
  // biome-ignore lint/a11y/useMediaCaption: see above.
  return <audio ref={ref} data-participant={participantId} />;
}
