/** The link between router and engine, with real RTP packets over loopback. */
import { createSocket, type Socket } from "node:dgram";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { createWorker, type types as ms } from "mediasoup";
import { RtpHeader, RtpPacket } from "werift-rtp";
import { ROUTER_CODECS } from "../../../server/media/codecs.ts";
import { PlainTransformTap } from "../../../server/media/plain-transform-tap.ts";
import { eventually, freeRtcPort, trackParameters } from "./support.ts";

const CAMERA_PAYLOAD_TYPE = 100;

function bind(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1", () => resolve(socket));
  });
}

/** A one-packet VP8 key frame, as far as an SFU looks into it. */
function packet(payloadType: number, ssrc: number, sequenceNumber: number): Buffer {
  const header = new RtpHeader({
    payloadType,
    ssrc,
    sequenceNumber,
    timestamp: 90_000,
    marker: true,
  });
  const keyFrame = Buffer.from([0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0]);
  return new RtpPacket(header, keyFrame).serialize();
}

/** mediasoup's packets that only probe the bandwidth have this SSRC. */
const PROBE_SSRC = 1234;

/** Packets of media that arrive at a socket (RTCP is left out). */
function mediaOf(socket: Socket): RtpPacket[] {
  const packets: RtpPacket[] = [];
  socket.on("message", (data) => {
    const type = (data[1] ?? 0) & 0x7f;
    if (type >= 64 && type <= 95) return;
    const packet = RtpPacket.deSerialize(data);
    if (packet.header.ssrc !== PROBE_SSRC) packets.push(packet);
  });
  return packets;
}

describe("transform tap", () => {
  let worker: ms.Worker;
  let router: ms.Router;
  let camera: Socket;
  let engine: Socket;
  let cameraTransport: ms.PlainTransport;
  let original: ms.Producer;
  let ssrc: number;
  let portRange: { min: number; max: number };

  before(async () => {
    const base = await freeRtcPort();
    portRange = { min: base, max: base + 29 };
    worker = await createWorker({ logLevel: "none" });
    router = await worker.createRouter({ mediaCodecs: ROUTER_CODECS });
    camera = await bind();
  });
  after(() => {
    camera.close();
    worker.close();
  });

  beforeEach(async () => {
    engine = await bind();
    const listenInfo = { protocol: "udp", ip: "127.0.0.1", portRange } as const;
    cameraTransport = await router.createPlainTransport({ listenInfo, comedia: true });
    const rtpParameters = trackParameters("video/VP8") as ms.RtpParameters;
    ssrc = rtpParameters.encodings?.[0]?.ssrc ?? 0;
    original = await cameraTransport.produce({
      kind: "video",
      rtpParameters,
    });
  });
  afterEach(() => {
    cameraTransport.close();
    engine.close();
  });

  function create() {
    return PlainTransformTap.create({
      router,
      original,
      outputSsrc: 4242,
      listenIp: "127.0.0.1",
      portRange,
      keyFrameRequestDelayMs: 300,
      msid: "ada generated",
    });
  }

  /** Sends from a socket again and again until something has arrived. */
  async function sendUntil(
    from: Socket,
    port: number,
    make: (n: number) => Buffer,
    arrived: RtpPacket[],
  ) {
    for (let n = 1; arrived.length === 0 && n < 200; n++) {
      from.send(make(n), port, "127.0.0.1");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const first = arrived[0];
    if (first === undefined) throw new Error("Expected a packet within 2 s.");
    return first;
  }

  it("carries the camera to the engine and the generated track to viewers", async () => {
    const { tap, generated } = await create();
    expect(tap.input).to.include({ codec: "vp8", cname: "tests", payloadType: 101 });
    expect(generated.rtpParameters.msid).to.equal("ada generated");
    expect(generated.rtpParameters.rtcp?.cname).to.equal("tests");
    await tap.connect({ ip: "127.0.0.1", port: (engine.address() as AddressInfo).port });

    const toEngine = mediaOf(engine);
    const cameraPort = cameraTransport.tuple.localPort;
    const fromCamera = (n: number) => packet(CAMERA_PAYLOAD_TYPE, ssrc, n);
    camera.send(fromCamera(1), cameraPort, "127.0.0.1");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(toEngine, "before start()").to.have.length(0);
    await tap.start();
    const received = await sendUntil(camera, cameraPort, fromCamera, toEngine);
    expect(received.header).to.include({
      ssrc: tap.input.ssrc,
      payloadType: tap.input.payloadType,
    });

    const viewerSocket = await bind();
    try {
      const viewer = await router.createPlainTransport({
        listenInfo: { protocol: "udp", ip: "127.0.0.1", portRange },
      });
      await viewer.connect({
        ip: "127.0.0.1",
        port: (viewerSocket.address() as AddressInfo).port,
      });
      const consumer = await viewer.consume({
        producerId: generated.id,
        rtpCapabilities: router.rtpCapabilities as ms.RtpCapabilities,
      });
      const toViewer = mediaOf(viewerSocket);
      const fromEngine = (n: number) => packet(tap.output.payloadType, 4242, n);
      const seen = await sendUntil(engine, tap.local.port, fromEngine, toViewer);
      expect(seen.header.ssrc).to.equal(consumer.rtpParameters.encodings?.[0]?.ssrc);
    } finally {
      viewerSocket.close();
      tap.close();
    }
    expect(generated.closed).to.equal(true);
  });

  it("takes nothing from strangers", async () => {
    const { tap, generated } = await create();
    await tap.connect({ ip: "127.0.0.1", port: (engine.address() as AddressInfo).port });
    const stranger = await bind();
    for (let n = 1; n <= 20; n++) {
      stranger.send(packet(tap.output.payloadType, 4242, n), tap.local.port, "127.0.0.1");
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await generated.getStats()).to.deep.equal([]);
    stranger.close();
    tap.close();
  });

  it("ends with its camera and says so once", async () => {
    const { tap, generated } = await create();
    const reasons: string[] = [];
    tap.on("closed", (reason) => reasons.push(reason));
    original.close();
    await eventually("the tap to close", () => reasons[0]);
    tap.close();
    expect(reasons).to.deep.equal(["the camera was stopped"]);
    expect(generated.closed).to.equal(true);
    const late: string[] = [];
    tap.on("closed", (reason) => late.push(reason));
    expect(late).to.deep.equal(reasons);
  });

  it("fails clearly for a camera that has gone", async () => {
    original.close();
    const failure = await create().catch(String);
    expect(failure).to.include("cannot be linked to the camera");
  });
});
