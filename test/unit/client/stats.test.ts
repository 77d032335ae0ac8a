import { expect } from "chai";
import { avOffsetMs, captureAgeMs, videoFigures } from "../../../client/src/media/stats.ts";

/** A report as browsers give it: a map from id to statistics. */
function report(...stats: object[]): RTCStatsReport {
  return new Map(stats.map((each, index) => [String(index), each])) as unknown as RTCStatsReport;
}

const inbound = { type: "inbound-rtp", kind: "video", id: "0" };

describe("the figures of a tile", () => {
  it("make rates of two samples", () => {
    const first = videoFigures(
      report({ ...inbound, timestamp: 1_000, framesDecoded: 10, bytesReceived: 1_000 }),
      null,
    );
    expect(first).to.include({ fps: null, bitrateBps: null, frames: 10 });
    const second = videoFigures(
      report({ ...inbound, timestamp: 3_000, framesDecoded: 42, bytesReceived: 51_000 }),
      first,
    );
    expect(second).to.include({ fps: 16, bitrateBps: 200_000 });
  });

  it("give no rate when another track took the place", () => {
    const before = videoFigures(report({ ...inbound, timestamp: 1_000, framesDecoded: 90 }), null);
    const after = videoFigures(report({ ...inbound, timestamp: 2_000, framesDecoded: 3 }), before);
    expect(after?.fps).to.equal(null);
  });

  it("are absent before the track has started", () => {
    expect(videoFigures(report(), null)).to.equal(null);
  });

  it("tell how far the picture is behind the voice", () => {
    const video = report({ ...inbound, estimatedPlayoutTimestamp: 5_000 });
    const audio = report({ type: "inbound-rtp", kind: "audio", estimatedPlayoutTimestamp: 5_080 });
    expect(avOffsetMs(video, audio)).to.equal(80);
    expect(avOffsetMs(video, report())).to.equal(null);
  });

  it("give the age of a frame on either time line of the browser, and nothing absurd", () => {
    const receiver = (timestamp: number, captureTimestamp?: number) =>
      ({
        getSynchronizationSources: () => [{ timestamp, captureTimestamp, source: 1 }],
      }) as unknown as RTCRtpReceiver;
    const capturedAt = performance.timeOrigin + 4_000;
    const ntp = capturedAt + 2_208_988_800_000;
    expect(captureAgeMs(receiver(4_500, ntp))).to.be.closeTo(500, 1);
    expect(captureAgeMs(receiver(capturedAt + 500, ntp))).to.be.closeTo(500, 1);
    expect(captureAgeMs(receiver(4_500, ntp - 3_600_000))).to.equal(null);
    expect(captureAgeMs(receiver(4_500))).to.equal(null);
  });
});
