import { EventEmitter } from "node:events";
import nodeDataChannel from "node-datachannel";
import type { TransportReply } from "../server/edges/socket/protocol.ts";
import type { SignalingSession } from "./signaling.ts";

const PLACEHOLDER_PAYLOAD_TYPE = 101;

/** The server's half of the session, written as the SDP answer that the library wants. */
function remoteAnswer(remote: TransportReply): string {
  const fingerprint = remote.dtlsParameters.fingerprints.find((f) => f.algorithm === "sha-256");
  if (!fingerprint) throw new Error("transport: expected a sha-256 fingerprint, got none");
  const candidates = remote.iceCandidates
    .filter((c) => c.protocol === "udp")
    .map((c) => {
      return `a=candidate:${c.foundation} 1 udp ${c.priority} ${c.address} ${c.port} typ ${c.type}`;
    });
  return [
    ...["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite", "a=group:BUNDLE 0"],
    `m=video 7 UDP/TLS/RTP/SAVPF ${PLACEHOLDER_PAYLOAD_TYPE}`,
    ...["c=IN IP4 127.0.0.1", "a=mid:0", "a=sendrecv", "a=rtcp-mux"],
    `a=rtpmap:${PLACEHOLDER_PAYLOAD_TYPE} VP8/90000`,
    `a=ice-ufrag:${remote.iceParameters.usernameFragment}`,
    `a=ice-pwd:${remote.iceParameters.password}`,
    `a=fingerprint:sha-256 ${fingerprint.value}`,
    "a=setup:passive",
    ...candidates,
    "a=end-of-candidates",
    "",
  ].join("\r\n");
}

function localFingerprint(sdp: string): string {
  const match = /^a=fingerprint:sha-256 (\S+)/m.exec(sdp);
  if (!match?.[1]) throw new Error("local description: expected a sha-256 fingerprint, got none");
  return match[1];
}

const CONNECT_TIMEOUT_MS = 15_000;

export interface PeerOptions {
  /** Own address that media is sent from. */
  bindAddress?: string;
  /** Changes the server's address before it is used: a relay puts itself in between. */
  through?(remote: TransportReply): TransportReply | Promise<TransportReply>;
}

/**
 * One ICE/DTLS/SRTP connection to the server.
 *
 * The peer connection holds a single media line: with only one, libdatachannel hands every RTP and
 * RTCP packet to it whatever its SSRC, so that streams may come and go without renegotiation.
 * Emits `packet` with the decrypted RTP or RTCP bytes.
 */
export class Peer extends EventEmitter<{ packet: [Buffer] }> {
  readonly id: string;
  readonly #connection: InstanceType<typeof nodeDataChannel.PeerConnection>;
  readonly #track: ReturnType<InstanceType<typeof nodeDataChannel.PeerConnection>["addTrack"]>;

  private constructor(name: string, remote: TransportReply, bindAddress: string) {
    super();
    this.id = remote.id;
    this.#connection = new nodeDataChannel.PeerConnection(name, {
      iceServers: [],
      bindAddress,
      disableAutoNegotiation: true,
      forceMediaTransport: true,
    });
    const media = new nodeDataChannel.Video("0", "SendRecv");
    media.addVP8Codec(PLACEHOLDER_PAYLOAD_TYPE);
    this.#track = this.#connection.addTrack(media);
    this.#track.onMessage((packet) => this.emit("packet", packet));
  }

  /** Creates a transport on the server and connects it; resolves when packets can flow. */
  static async connect(
    session: SignalingSession,
    direction: "send" | "recv",
    name: string,
    options: PeerOptions = {},
  ): Promise<Peer> {
    const created = await session.request("transport:create", { direction });
    const remote = (await options.through?.(created)) ?? created;
    const peer = new Peer(name, remote, options.bindAddress ?? "127.0.0.1");
    try {
      await peer.#open(session, remote);
    } catch (error) {
      peer.close();
      throw error;
    }
    return peer;
  }

  async #open(session: SignalingSession, remote: TransportReply): Promise<void> {
    const open = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
        CONNECT_TIMEOUT_MS,
      );
      this.#track.onOpen(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    // The promise is awaited below; this keeps an early rejection from being reported twice.
    open.catch(() => undefined);
    this.#connection.setLocalDescription("offer");
    const local = this.#connection.localDescription();
    if (!local) throw new Error("no local description");
    await session.request("transport:connect", {
      transportId: remote.id,
      dtlsParameters: {
        role: "client",
        fingerprints: [{ algorithm: "sha-256", value: localFingerprint(local.sdp) }],
      },
    });
    this.#connection.setRemoteDescription(remoteAnswer(remote), "answer");
    await open;
  }

  get open(): boolean {
    return this.#track.isOpen();
  }

  /** Sends one RTP or RTCP packet; false where the connection is gone. */
  send(packet: Buffer): boolean {
    return this.#track.isOpen() && this.#track.sendMessageBinary(packet);
  }

  close(): void {
    this.#connection.close();
  }
}
