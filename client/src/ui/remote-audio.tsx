import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Playback } from "../media/playback.ts";
import type { AppState } from "../state.ts";
import { type Store, sameElements, useSelector } from "../store.ts";

interface VoicesProps {
  store: Store<AppState>;
  playback: Playback;
}

/** Everybody's voice, whether or not their picture is in sight. */
export function Voices({ store, playback }: VoicesProps): JSX.Element {
  const tracks = useSelector(
    store,
    ({ people, selfId }) =>
      Object.values(people).flatMap(({ info, media }) =>
        info.participantId === selfId || media.audio === null
          ? []
          : [info.participantId, media.audio.track],
      ),
    sameElements,
  );
  const voices: JSX.Element[] = [];
  for (let i = 0; i < tracks.length; i += 2) {
    const [id, track] = tracks.slice(i, i + 2) as [string, MediaStreamTrack];
    voices.push(<RemoteAudio key={id} participantId={id} track={track} playback={playback} />);
  }
  return <div hidden>{voices}</div>;
}

interface RemoteAudioProps {
  participantId: string;
  track: MediaStreamTrack;
  playback: Playback;
}

/** Plays a participant's voice. */
function RemoteAudio({ participantId, track, playback }: RemoteAudioProps): JSX.Element {
  const ref = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const audio = ref.current;
    if (audio === null) return;
    audio.srcObject = new MediaStream([track]);
    void playback.start(audio);
    return () => {
      playback.forget(audio);
      audio.srcObject = null;
    };
  }, [track]);
  // Voices have no text track: captions of a live call do not exist here.
  // biome-ignore lint/a11y/useMediaCaption: see above.
  return <audio ref={ref} data-participant={participantId} />;
}
