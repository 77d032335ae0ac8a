/** VP9 and AV1 cameras: real streams through RTP and the depacketisers into FFmpeg's decoders. */
import { execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import { RtpPacket } from "werift-rtp";
import {
  createDepacketizer,
  type InputCodec,
} from "../../server/engine/process/rtp/depacketize.ts";
import { FrameAssembler } from "../../server/engine/process/rtp/frame-assembler.ts";
import { packetizeAv1 } from "../unit/engine/support/av1-packets.ts";
import { framePackets, packet, released } from "../unit/engine/support/packets.ts";
import { splitIvf } from "./clips.ts";

const ffmpeg = process.env.FFMPEG_BIN ?? "ffmpeg";
const QUIET = ["-hide_banner", "-loglevel", "error"];
const FRAMES = 40;

function source(width: number, height: number): string[] {
  return [
    "-f",
    "lavfi",
    "-i",
    `testsrc2=size=${width}x${height}:rate=30`,
    "-frames:v",
    `${FRAMES}`,
  ];
}

const VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "20"];
const AV1 = ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "20"];

function encode(codec: string[], width = 320, height = 180): Buffer[] {
  const output = ["-b:v", "600k", "-lag-in-frames", "0", "-f", "ivf", "-"];
  return splitIvf(execFileSync(ffmpeg, [...QUIET, ...source(width, height), ...codec, ...output]));
}

/** An IVF file of these frames. */
function ivf(fourcc: string, frames: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(32);
  header.write(`DKIF`, 0);
  header.writeUInt16LE(32, 6);
  header.write(fourcc, 8);
  header.writeUInt16LE(320, 12);
  header.writeUInt16LE(180, 14);
  header.writeUInt32LE(30, 16);
  header.writeUInt32LE(1, 20);
  header.writeUInt32LE(frames.length, 24);
  return Buffer.concat([
    header,
    ...frames.flatMap((frame, at) => {
      const each = Buffer.alloc(12);
      each.writeUInt32LE(frame.length, 0);
      each.writeUInt32LE(at, 4);
      return [each, frame];
    }),
  ]);
}

/** What a decoder makes of frames: size and checksum of each picture. Throws when it complains. */
function decode(decoder: string, fourcc: string, frames: readonly Buffer[]): string[] {
  const text = execFileSync(
    ffmpeg,
    [...QUIET, "-xerror", "-c:v", decoder, "-f", "ivf", "-i", "-", "-autoscale", "0"].concat([
      "-fps_mode",
      "passthrough",
      "-f",
      "framemd5",
      "-",
    ]),
    { input: ivf(fourcc, frames), encoding: "utf8" },
  );
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(",").slice(4).join(",").trim());
}

function assemble(codec: InputCodec, packets: ReturnType<typeof packet>[]) {
  const drops: string[] = [];
  const assembler = new FrameAssembler({
    depacketizer: createDepacketizer(codec),
    onDrop: (reason) => drops.push(reason),
  });
  const frames = released(packets, true).flatMap((next) => assembler.push(next));
  return { frames, drops };
}

/** Lets ffmpeg send a stream by its own RTP muxer. */
async function receive(codec: string[], width: number, height: number) {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const packets: ReturnType<typeof packet>[] = [];
  socket.on("message", (datagram) => {
    const { header, payload } = RtpPacket.deSerialize(datagram);
    const { sequenceNumber: sequence, timestamp, marker } = header;
    packets.push(packet(sequence, { timestamp, marker, payload: Buffer.from(payload) }));
  });
  const { port } = socket.address();
  const rtp = [
    "-strict",
    "experimental",
    "-f",
    "rtp",
    `rtp://127.0.0.1:${port}?rtcpport=${port + 1}`,
  ];
  const output = ["-b:v", "600k", "-lag-in-frames", "0", ...rtp];
  const child = spawn(ffmpeg, [...QUIET, ...source(width, height), ...codec, ...output], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await once(child, "exit");
  await new Promise((resolve) => setTimeout(resolve, 200));
  socket.close();
  return packets;
}

describe("cameras of newer codecs", function () {
  this.timeout(60_000);

  it("VP9 as FFmpeg sends it is decoded whole", async () => {
    const packets = await receive(VP9, 320, 180);
    expect(packets.length).to.be.above(FRAMES);
    const { frames, drops } = assemble("vp9", packets);
    expect(drops).to.deep.equal([]);
    expect(frames.length).to.equal(FRAMES);
    expect(
      frames.map(({ keyFrame }, at) => (keyFrame ? at : -1)).filter((at) => at >= 0),
    ).to.deep.equal([0, 20]);
    for (const decoder of ["libvpx-vp9", "vp9"]) {
      const pictures = decode(
        decoder,
        "VP90",
        frames.map(({ data }) => data),
      );
      expect(pictures.length).to.equal(FRAMES);
      expect(pictures).to.deep.equal(decode(decoder, "VP90", encode(VP9)));
    }
  });

  it("spatial layers of VP9 become one superframe that shows the highest", () => {
    const low = encode(VP9, 160, 90)[0] ?? Buffer.alloc(0);
    const high = encode(VP9, 320, 180)[0] ?? Buffer.alloc(0);
    const layer = (sid: number, frame: Buffer): Buffer[] => {
      const half = frame.length >> 1;
      const head = [0x01, (sid << 1) | (sid > 0 ? 1 : 0), 7];
      return [
        Buffer.concat([Buffer.from([0xa8, ...head]), frame.subarray(0, half)]),
        Buffer.concat([Buffer.from([0xa4, ...head]), frame.subarray(half)]),
      ];
    };
    const packets = framePackets([...layer(0, low), ...layer(1, high)], 0, 3000);
    const { frames } = assemble("vp9", packets);
    expect(frames.map(({ keyFrame }) => keyFrame)).to.deep.equal([true]);
    const shown = decode(
      "libvpx-vp9",
      "VP90",
      frames.map(({ data }) => data),
    );
    expect(shown).to.deep.equal(decode("libvpx-vp9", "VP90", [high]));
  });

  for (const counted of [true, false]) {
    it(`AV1 in RTP (${counted ? "counted elements" : "elements with sizes"}) is decoded whole`, () => {
      const units = encode(AV1);
      const packets = units.flatMap((unit, at) =>
        framePackets(packetizeAv1(unit, 1100, counted), at * 100, at * 3000),
      );
      const { frames, drops } = assemble("av1", packets);
      expect(drops).to.deep.equal([]);
      expect(frames.map(({ data }) => data)).to.deep.equal(units);
      expect(
        frames.map(({ keyFrame }, at) => (keyFrame ? at : -1)).filter((at) => at >= 0),
      ).to.deep.equal([0, 20]);
      const pictures = decode(
        "libdav1d",
        "AV01",
        frames.map(({ data }) => data),
      );
      expect(pictures.length).to.equal(FRAMES);
    });
  }
});
