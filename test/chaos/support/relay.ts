/**
 * The network of one client: its signalling (TCP) and its media (UDP) go through here, and can be
 * cut as a pulled cable cuts them: nothing arrives any more, and nobody is told.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { TransportReply } from "../../../server/edges/socket/protocol.ts";

const HOST = "127.0.0.1";

export class Relay {
  /** In place of the server's address. */
  readonly url: string;
  readonly #server: Server;
  readonly #pairs = new Set<[Socket, Socket]>();
  readonly #paths: UdpPath[] = [];
  #cut = false;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async open(serverUrl: string): Promise<Relay> {
    const target = Number(new URL(serverUrl).port);
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, HOST);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const relay = new Relay(server, `http://${HOST}:${port}`);
    server.on("connection", (near) => relay.#connect(near, target));
    return relay;
  }

  /** A transport whose media goes through the relay. */
  async through(remote: TransportReply): Promise<TransportReply> {
    const candidate = remote.iceCandidates.find((c) => c.protocol === "udp");
    if (candidate === undefined) throw new Error("expected a candidate for UDP, got none");
    const path = await UdpPath.open(candidate.port, () => this.#cut);
    this.#paths.push(path);
    return { ...remote, iceCandidates: [{ ...candidate, address: HOST, port: path.port }] };
  }

  /** Whatever is on its way, and whatever comes, is lost (UDP) or waits (TCP). */
  cut(): void {
    this.#cut = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  mend(): void {
    this.#cut = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  close(): void {
    this.#server.close();
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    for (const path of this.#paths) path.close();
  }

  #connect(near: Socket, port: number): void {
    const far = connect(port, HOST);
    const pair: [Socket, Socket] = [near, far];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) {
      socket.on("error", end);
      // While the cable is out nobody hears that the other side has hung up.
      socket.on("close", () => (this.#cut ? undefined : end()));
    }
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => near.write(data));
    if (this.#cut) for (const socket of pair) socket.pause();
    else near.resume();
  }
}

/** Datagrams of one transport, both ways. */
class UdpPath {
  readonly port: number;
  readonly #near: UdpSocket;
  readonly #far: UdpSocket;

  private constructor(near: UdpSocket, far: UdpSocket, target: number, isCut: () => boolean) {
    this.#near = near;
    this.#far = far;
    this.port = near.address().port;
    let client: { port: number; address: string } | undefined;
    near.on("message", (data, from) => {
      client = from;
      if (!isCut()) far.send(data, target, HOST);
    });
    far.on("message", (data) => {
      if (!isCut() && client !== undefined) near.send(data, client.port, client.address);
    });
  }

  static async open(target: number, isCut: () => boolean): Promise<UdpPath> {
    const bind = async () => {
      const socket = createSocket("udp4");
      socket.bind(0, HOST);
      await once(socket, "listening");
      return socket;
    };
    return new UdpPath(await bind(), await bind(), target, isCut);
  }

  close(): void {
    this.#near.close();
    this.#far.close();
  }
}
