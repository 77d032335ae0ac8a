/** Measures what signalling costs in a room of a given size. */
import { setTimeout as sleep } from "node:timers/promises";
import { cpuByRole } from "../cpu.ts";
import { startServer } from "../server-process.ts";
import { type Percentiles, percentiles } from "../statistics.ts";
import { Member, type Traffic } from "./member.ts";

/** What connections carried in a second, and what it took of the server's processor. */
export interface Rates {
  /** Of all connections of the room together, both ways. */
  messagesPerSecond: number;
  bytesPerSecond: number;
  perClient: { messagesPerSecond: number; bytesPerSecond: number };
  /** 100 % is one core. */
  serverCpuPercent: number;
  workerCpuPercent: number;
}

export interface RoomFigures {
  participants: number;
  /** A room in which nobody does anything. */
  quiet: Rates;
  /** Everybody mutes or unmutes once in two seconds, spread evenly. */
  muting: Rates & { togglesPerSecond: number; messagesPerToggle: number };
  /** One more viewer, again and again, in a room of participants - 1. */
  join: {
    /** From the message to its answer. */
    replyMs: Percentiles;
    /** From the message until the last track is set up. */
    allTracksMs: Percentiles;
    /** Tracks that were refused at first ("too many messages"), of all that were announced. */
    refusedTracks: number;
    announcedTracks: number;
    /** Joins after which not all tracks were set up in 15 s. */
    incomplete: number;
    /** Of the room's members and the viewer, a join. */
    messages: number;
    bytes: number;
    serverCpuMs: number;
  };
}

export interface RoomOptions {
  participants: number;
  /** Length of the two phases. */
  seconds: number;
  /** How often one more viewer joins. */
  joins: number;
}

const TOGGLE_EVERY_MS = 2000;
const ALL_TRACKS_LIMIT_MS = 15_000;
/** Timers of a join (batches, graces, metrics) end before the room counts as quiet. */
const SETTLE_MS = 3000;

/** @returns figures of one room on a server of its own, without an engine */
export async function measureRoom(options: RoomOptions): Promise<RoomFigures> {
  const server = await startServer({
    DRIFTLESS__ENGINE__ENABLED: "false",
    DRIFTLESS__LOG__LEVEL: "warn",
    DRIFTLESS__SFU__WORKERS: "1",
    DRIFTLESS__LIMITS__CONNECTIONSPERMINUTE: "10000",
    DRIFTLESS__LIMITS__MAXPARTICIPANTSPERROOM: String(options.participants + 1),
  });
  const members: Member[] = [];
  try {
    let ssrc = 1000;
    const enter = async (publishes: boolean) => {
      const member = new Member(server.url, `member-${members.length}`);
      members.push(member);
      await member.open();
      const { routerRtpCapabilities } = await member.join("bench");
      if (publishes) await member.publish(() => ssrc++);
      await member.subscribe(routerRtpCapabilities);
      return member;
    };
    while (members.length < options.participants - 1) await enter(true);
    const join = await measureJoins(options, members, server);
    await enter(true);
    const everybody = 2 * (options.participants - 1);
    for (const member of members) await member.hasTracks(everybody, ALL_TRACKS_LIMIT_MS);
    await sleep(SETTLE_MS);
    const quiet = await rates(members, server.pid, () => sleep(options.seconds * 1000));
    let toggles = 0;
    const muting = await rates(members, server.pid, async () => {
      toggles = await mutePhase(members, options.seconds * 1000);
    });
    const messages = muting.messagesPerSecond - quiet.messagesPerSecond;
    const togglesPerSecond = toggles / options.seconds;
    return {
      participants: options.participants,
      quiet,
      muting: {
        ...muting,
        togglesPerSecond: round(togglesPerSecond),
        messagesPerToggle: round(messages / togglesPerSecond),
      },
      join,
    };
  } finally {
    for (const member of members) member.close();
    await server.stop();
  }
}

async function measureJoins(
  { joins, participants }: RoomOptions,
  members: Member[],
  server: { url: string; pid: number },
): Promise<RoomFigures["join"]> {
  const expected = 2 * (participants - 1);
  const replies: number[] = [];
  const complete: number[] = [];
  const totals = { messages: 0, bytes: 0, cpuMs: 0, refused: 0, announced: 0, incomplete: 0 };
  for (let i = 0; i < joins; i += 1) {
    const before = sum(members);
    const cpuBefore = cpuByRole(server.pid).server;
    const viewer = new Member(server.url, `viewer-${i}`);
    try {
      await viewer.open();
      const startedAtMs = performance.now();
      const { routerRtpCapabilities } = await viewer.join("bench");
      replies.push(performance.now() - startedAtMs);
      await viewer.subscribe(routerRtpCapabilities);
      if (await viewer.hasTracks(expected, ALL_TRACKS_LIMIT_MS)) {
        complete.push(performance.now() - startedAtMs);
      } else {
        totals.incomplete += 1;
      }
      const after = sum([...members, viewer]);
      totals.messages += after.messages - before.messages;
      totals.bytes += after.bytes - before.bytes;
      totals.cpuMs += cpuByRole(server.pid).server - cpuBefore;
      totals.refused += viewer.refused;
      totals.announced += viewer.announced;
    } finally {
      viewer.close();
    }
    // The room has said goodbye to this one before the next comes.
    await sleep(200);
  }
  return {
    replyMs: percentiles(replies),
    allTracksMs: percentiles(complete),
    refusedTracks: totals.refused,
    announcedTracks: totals.announced,
    incomplete: totals.incomplete,
    messages: round(totals.messages / joins),
    bytes: Math.round(totals.bytes / joins),
    serverCpuMs: round(totals.cpuMs / joins),
  };
}

/** @returns how often somebody muted or unmuted */
async function mutePhase(members: Member[], lengthMs: number): Promise<number> {
  const started = performance.now();
  const toggling = members.map(async (member, i) => {
    await sleep((TOGGLE_EVERY_MS * i) / members.length);
    let count = 0;
    for (; performance.now() - started < lengthMs; count += 1) {
      await member.setMuted(count % 2 === 0);
      const nextAtMs = started + TOGGLE_EVERY_MS * (count + 1 + i / members.length);
      await sleep(Math.max(0, Math.min(nextAtMs, started + lengthMs) - performance.now()));
    }
    return count;
  });
  return (await Promise.all(toggling)).reduce((a, b) => a + b, 0);
}

async function rates(
  members: Member[],
  serverPid: number,
  phase: () => Promise<unknown>,
): Promise<Rates> {
  const before = sum(members);
  const cpuBefore = cpuByRole(serverPid);
  const startedAtMs = performance.now();
  await phase();
  const seconds = (performance.now() - startedAtMs) / 1000;
  const cpu = cpuByRole(serverPid);
  const after = sum(members);
  const messages = (after.messages - before.messages) / seconds;
  const bytes = (after.bytes - before.bytes) / seconds;
  const share = (ms: number) => round(ms / 10 / seconds);
  return {
    messagesPerSecond: round(messages),
    bytesPerSecond: Math.round(bytes),
    perClient: {
      messagesPerSecond: round(messages / members.length),
      bytesPerSecond: round(bytes / members.length),
    },
    serverCpuPercent: share(cpu.server - cpuBefore.server),
    workerCpuPercent: share(cpu.worker - cpuBefore.worker),
  };
}

function sum(members: Member[]): { messages: number; bytes: number } {
  const total = (pick: (t: Traffic) => number) =>
    members.reduce((all, { traffic }) => all + pick(traffic), 0);
  return {
    messages: total((t) => t.messagesIn + t.messagesOut),
    bytes: total((t) => t.bytesIn + t.bytesOut),
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
