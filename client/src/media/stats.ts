/** Figures of one received or sent picture, as the stats panel and the tests show them. */
export interface VideoFigures {
  /** Cumulative counters; the difference of two samples gives the rates below. */
  atMs: number;
  frames: number;
  bytes: number;
  packetsLost: number;
  framesDropped: number;
  freezes: number;
  keyFrames: number;
  width: number;
  height: number;
  codec: string;
  jitterBufferMs: number | null;
  /** Null in the first sample. */
  fps: number | null;
  bitrateBps: number | null;
}

interface RtpStats extends RTCStats {
  kind?: string;
  framesDecoded?: number;
  framesSent?: number;
  bytesReceived?: number;
  bytesSent?: number;
  packetsLost?: number;
  framesDropped?: number;
  freezeCount?: number;
  keyFramesDecoded?: number;
  keyFramesEncoded?: number;
  frameWidth?: number;
  frameHeight?: number;
  codecId?: string;
  jitterBufferDelay?: number;
  jitterBufferEmittedCount?: number;
  estimatedPlayoutTimestamp?: number;
  totalAudioEnergy?: number;
}

/**
 * Figures of a video receiver or sender from its statistics, with rates since `before`.
 * Null where the report has no video stream (not started yet).
 */
export function videoFigures(
  report: RTCStatsReport,
  before: VideoFigures | null,
): VideoFigures | null {
  const rtp = findRtp(report, "inbound-rtp", "video") ?? findRtp(report, "outbound-rtp", "video");
  if (rtp === null) return null;
  const frames = rtp.framesDecoded ?? rtp.framesSent ?? 0;
  const bytes = rtp.bytesReceived ?? rtp.bytesSent ?? 0;
  const seconds = before === null ? 0 : (rtp.timestamp - before.atMs) / 1000;
  // A new receiver under the same tile starts to count from zero: no rate for that sample.
  const comparable = before !== null && seconds > 0 && frames >= before.frames;
  const emitted = rtp.jitterBufferEmittedCount ?? 0;
  return {
    atMs: rtp.timestamp,
    frames,
    bytes,
    packetsLost: rtp.packetsLost ?? 0,
    framesDropped: rtp.framesDropped ?? 0,
    freezes: rtp.freezeCount ?? 0,
    keyFrames: rtp.keyFramesDecoded ?? rtp.keyFramesEncoded ?? 0,
    width: rtp.frameWidth ?? 0,
    height: rtp.frameHeight ?? 0,
    codec: codecName(report, rtp.codecId),
    jitterBufferMs: emitted === 0 ? null : ((rtp.jitterBufferDelay ?? 0) / emitted) * 1000,
    fps: comparable ? (frames - before.frames) / seconds : null,
    bitrateBps: comparable ? ((bytes - before.bytes) * 8) / seconds : null,
  };
}

/**
 * How far the picture lags behind the voice in ms (negative: the voice lags), from the capture
 * times that the browser says it is playing now. Null while it cannot relate the two.
 */
export function avOffsetMs(video: RTCStatsReport, audio: RTCStatsReport): number | null {
  const v = findRtp(video, "inbound-rtp", "video")?.estimatedPlayoutTimestamp;
  const a = findRtp(audio, "inbound-rtp", "audio")?.estimatedPlayoutTimestamp;
  return v === undefined || a === undefined ? null : a - v;
}

/** Sum of the squared loudness that arrived so far: grows when there is sound. */
export function audioEnergy(audio: RTCStatsReport): number {
  return findRtp(audio, "inbound-rtp", "audio")?.totalAudioEnergy ?? 0;
}

/** NTP counts from 1900, Unix from 1970. */
const NTP_TO_UNIX_MS = 2_208_988_800_000;

/**
 * Age in ms of the frame that was played last, on the capturing computer's clock; null without
 * capture times in the stream. It is only as true as the two computers' clocks agree, so values
 * that no call can have are null as well.
 */
export function captureAgeMs(receiver: RTCRtpReceiver): number | null {
  const source = receiver.getSynchronizationSources()[0] as
    | (RTCRtpSynchronizationSource & { captureTimestamp?: number })
    | undefined;
  if (source?.captureTimestamp === undefined) return null;
  const capturedAt = source.captureTimestamp - NTP_TO_UNIX_MS;
  const age = performance.timeOrigin + source.timestamp - capturedAt;
  // Chromium has reported `timestamp` both on the Unix and on the page's own time line.
  const unixAge = source.timestamp - capturedAt;
  const plausible = [unixAge, age].find((each) => each > -1_000 && each < 60_000);
  return plausible ?? null;
}

function findRtp(report: RTCStatsReport, type: string, kind: string): RtpStats | null {
  for (const stats of report.values() as IterableIterator<RtpStats>) {
    if (stats.type === type && stats.kind === kind) return stats;
  }
  return null;
}

function codecName(report: RTCStatsReport, codecId: string | undefined): string {
  const codec = codecId === undefined ? undefined : report.get(codecId);
  const mimeType = (codec as { mimeType?: string } | undefined)?.mimeType;
  return mimeType?.replace(/^video\//, "") ?? "";
}
