import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { avOffsetMs, captureAgeMs, type VideoFigures, videoFigures } from "../media/stats.ts";
import type { RoomControls } from "../room/room.ts";
import type { Person, VideoTrackKind } from "../state.ts";
import { useStore } from "../store.ts";
import { bitrate, DASH, milliseconds, perSecond, signedMilliseconds } from "./format.ts";

interface StatsPanelProps {
  person: Person;
  self: boolean;
  shown: VideoTrackKind | null;
  room: RoomControls;
}

interface Sample {
  figures: VideoFigures | null;
  avOffsetMs: number | null;
  captureAgeMs: number | null;
}

const NOTHING: Sample = { figures: null, avOffsetMs: null, captureAgeMs: null };

/** The figures of one tile, sampled once a second while the panel is open. */
export function StatsPanel({ person, self, shown, room }: StatsPanelProps): JSX.Element {
  const id = person.info.participantId;
  const [sample, setSample] = useState<Sample>(NOTHING);

  useEffect(() => {
    let before: VideoFigures | null = null;
    let stopped = false;
    const take = async (): Promise<void> => {
      const next = await sampleTile(room, id, self, shown, before);
      before = next.figures;
      if (!stopped) setSample(next);
    };
    // A track that closes during the sample has no figures any more: keep the last ones.
    const run = (): void => void take().catch(() => undefined);
    run();
    const timer = setInterval(run, 1_000);
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [id, self, shown, room]);

  const { figures } = sample;
  // The own transform tells its numbers every second; of others the server says what changed.
  const own = useStore(room.figures);
  const status = self ? (own ?? person.status) : person.status;
  return (
    <dl class="stats" aria-label={`Figures of ${person.info.name}`}>
      <Row name={self && shown === "original" ? "Sent" : "Received"} value={size(figures)} />
      <Row name="Frame rate" value={perSecond(figures?.fps)} />
      <Row name="Bitrate" value={bitrate(figures?.bitrateBps)} />
      <Row name="Transform delay" value={milliseconds(status?.delayMs)} />
      <Row name="Transform rate" value={perSecond(status?.fps)} />
      <Row name="Camera to screen" value={milliseconds(sample.captureAgeMs)} />
      <Row name="Picture behind voice" value={signedMilliseconds(sample.avOffsetMs)} />
      <Row name="Jitter buffer" value={milliseconds(figures?.jitterBufferMs)} />
      <Row name="Packets lost" value={figures === null ? DASH : String(figures.packetsLost)} />
      <Row name="Freezes" value={figures === null ? DASH : String(figures.freezes)} />
    </dl>
  );
}

function Row({ name, value }: { name: string; value: string }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function size(figures: VideoFigures | null): string {
  if (figures === null || figures.width === 0) return DASH;
  return `${figures.codec} ${figures.width}×${figures.height}`;
}

async function sampleTile(
  room: RoomControls,
  participantId: string,
  self: boolean,
  shown: VideoTrackKind | null,
  before: VideoFigures | null,
): Promise<Sample> {
  const media = room.media;
  if (media === null || shown === null) return NOTHING;
  if (self && shown === "original") {
    const report = await media.senderStats("camera");
    return { ...NOTHING, figures: report === null ? null : videoFigures(report, before) };
  }
  const video = media.consumers.find(participantId, shown)?.consumer;
  if (video === undefined) return NOTHING;
  const report = await video.getStats();
  const audio = await media.consumers.find(participantId, "audio")?.consumer.getStats();
  return {
    figures: videoFigures(report, before),
    avOffsetMs: audio === undefined ? null : avOffsetMs(report, audio),
    captureAgeMs: video.rtpReceiver === undefined ? null : captureAgeMs(video.rtpReceiver),
  };
}
