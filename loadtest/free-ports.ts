import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const FIRST = 42_000;
const LAST = 48_000;

function isFreeUdp(port: number, ip: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(false));
    socket.bind(port, ip, () => socket.close(() => resolve(true)));
  });
}

function isFreeTcp(port: number, ip: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, ip, () => server.close(() => resolve(true)));
  });
}

/**
 * The first port of `count` that nobody on this machine uses now, for sfu.rtcMinPort; the server's
 * workers take the first few for TCP as well, so those are tried with both.
 * @param random 0 to below 1; runs that start at the same time look at different places
 * @throws Error if nothing is free
 */
export async function freePortRange(
  count: number,
  random: () => number = Math.random,
  ip = "127.0.0.1",
): Promise<number> {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const slots = Math.floor((LAST - FIRST) / count);
    const base = FIRST + Math.floor(random() * slots) * count;
    const tried = [0, 1, 2, 3, Math.floor(count / 2), count - 1].filter((n) => n < count);
    const free = await Promise.all(
      tried.map(
        async (n) => (await isFreeUdp(base + n, ip)) && (n > 3 || (await isFreeTcp(base + n, ip))),
      ),
    );
    if (free.every(Boolean)) return base;
  }
  throw new Error(`expected ${count} free ports between ${FIRST} and ${LAST}, found none`);
}
