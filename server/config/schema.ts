/**
 * Every setting of the server, its default and its limits. config/default.yaml
 * shows the same values to the operator; a unit test keeps the two equal.
 */
import { z } from "zod";

const EXPECTED_IP = "expected auto, or an IPv4 or IPv6 address of this machine";
const EXPECTED_PUBLIC_URL = "expected https://host or http://host, with a port if need be, no path";

const port = z.int().min(1).max(65535);
const host = z.string().min(1).max(255);

const publicUrl = z.url({ protocol: /^https?$/, error: EXPECTED_PUBLIC_URL }).refine(
  (text) => {
    const url = URL.parse(text);
    // The page and its socket live at the root of their host.
    return url !== null && url.pathname === "/" && url.search + url.hash + url.username === "";
  },
  { error: EXPECTED_PUBLIC_URL },
);

const hostName = z.string().regex(/^(\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]+)$/i, {
  error: "expected a name or an address without scheme and port, such as meet.example.org",
});

/** RFC 7065. */
const turnUrl = z.string().regex(/^turns?:[^/?\s]+(\?transport=(udp|tcp))?$/, {
  error: "expected turn:host:port or turns:host:port, with ?transport=udp or tcp where needed",
});

const iceServer = z.strictObject({
  urls: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  username: z.string().optional(),
  credential: z.string().optional(),
});

/** Short-lived credentials of a TURN server that shares a secret with us (coturn: use-auth-secret). */
const turn = z.strictObject({
  urls: z.union([turnUrl, z.array(turnUrl).min(1).max(8)]),
  /** coturn's static-auth-secret. */
  secret: z.string().min(16),
  /** How long somebody may start to use a credential; a relay that runs is not cut off. */
  ttlSeconds: z.int().min(60).max(604_800).default(43_200),
});

const http = z.strictObject({
  /** Address to listen on. 127.0.0.1 keeps the server to this machine. */
  host: host.default("127.0.0.1"),
  /** 0 takes any free port (tests). */
  port: z.int().min(0).max(65535).default(3000),
  /**
   * Where browsers find this server: https://host, with a port where it is not the usual one. Needed
   * behind a reverse proxy that does not hand on the host it was asked for.
   */
  publicUrl: publicUrl.optional(),
  /**
   * Number of reverse proxies in front whose X-Forwarded-* or Forwarded headers are believed. Each
   * must set them anew or append to them.
   */
  trustedProxies: z.int().min(0).max(8).default(0),
  /** Further origins (https://host) whose pages may connect; same origin always may. */
  allowedOrigins: z.array(z.url()).default([]),
  /**
   * Further names that this server may be asked by; .example.org stands for the domain and all below
   * it. Other names are refused, because a foreign page may give its own name this machine's address
   * (DNS rebinding). Addresses, localhost, this machine's name and publicUrl need no entry.
   */
  allowedHosts: z.array(hostName).max(100).default([]),
  /** Folder with the built web page. */
  staticDir: z.string().min(1).default("client/dist"),
  /** Room of the URL printed at the start. */
  defaultRoom: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .default("studio"),
});

const sfu = z
  .strictObject({
    /** mediasoup worker processes, one core each; 0 = half of the machine's cores. */
    workers: z.int().min(0).max(64).default(0),
    /**
     * Address that browsers' media is received on. auto: on 127.0.0.1 and on the machine's own address
     * of the default route, because Firefox ignores loopback addresses (server/media/listen-addresses.ts).
     */
    listenIp: z
      .union([z.literal("auto"), z.ipv4(), z.ipv6()], { error: EXPECTED_IP })
      .default("auto"),
    /** Address or name told to browsers, when it differs from listenIp (NAT, 0.0.0.0). */
    announcedAddress: z.string().min(1).optional(),
    /** Worker n uses UDP and TCP port rtcMinPort + n for all of its browsers. */
    rtcMinPort: port.default(40000),
    /** The ports after the workers' own, up to this one, link the engine (loopback UDP). */
    rtcMaxPort: port.default(40499),
    /** Start of the bandwidth estimate towards each viewer. */
    initialOutgoingBitrateBps: z.int().min(100_000).default(1_500_000),
    /** Most that one publisher may send. */
    maxIncomingBitrateBps: z.int().min(100_000).default(3_000_000),
    /** STUN and TURN servers told to clients as they are: a credential here is everybody's. */
    iceServers: z.array(iceServer).default([]),
    /** A TURN server whose credentials are made for each participant and end. */
    turn: turn.optional(),
    /** Consumers on one router; a room with more goes on on another worker. */
    maxConsumersPerRouter: z.int().min(10).max(100_000).default(500),
    logLevel: z.enum(["debug", "warn", "error", "none"]).default("warn"),
  })
  .refine((s) => s.rtcMaxPort - s.rtcMinPort >= 20, {
    path: ["rtcMaxPort"],
    error: "expected at least 20 ports above sfu.rtcMinPort",
  })
  .refine((s) => !["0.0.0.0", "::"].includes(s.listenIp) || s.announcedAddress !== undefined, {
    path: ["announcedAddress"],
    error: "expected the address that browsers reach, because sfu.listenIp is a wildcard",
  });

/** Up to 16 engines, each on up to 32 devices. */
const DEVICE = String.raw`(cpu|cuda(:\d{1,3})?)`;
const ENGINE = `${DEVICE}(, ?${DEVICE}){0,31}`;
const BACKENDS = new RegExp(`^(auto|reference|${ENGINE}(; ?${ENGINE}){0,15})$`, "u");

const engine = z.strictObject({
  /** False: a plain SFU without transforms. */
  enabled: z.boolean().default(true),
  /** Folder with model.json and weights. */
  modelDir: z.string().min(1).default("models/drift-nano"),
  /**
   * What the model runs on. cuda: the first NVIDIA GPU, cuda:N the one with that number; the engine
   * must have been built where a CUDA compiler is. auto: the first GPU where that works, else the
   * processor. reference is slow plain loops to compare with. Several GPUs with commas between them
   * hold a part of the transformer each, for a model that one cannot run in time; with semicolons
   * between them each has an engine of its own, and sessions go where the fewest are (docs/gpu.md).
   */
  backend: z
    .string()
    .regex(BACKENDS, {
      error: "expected auto, cpu, cuda, cuda:N, reference, or a list such as cuda:0,cuda:1",
    })
    .default("auto"),
  /**
   * What is multiplied in. auto: bf16 on a GPU and where the processor is faster with it (AMX, or
   * AVX512_BF16 of AMD's), about twice as fast, else f32. bf16 on a processor without it is refused.
   * f16, on a GPU alone: the memory of bf16 and an eighth of its error, but no value may exceed 65504.
   * fp8, on a GPU alone: the transformer's large matrices in 8 bits, the rest as with bf16.
   * fp8-kv: the keys and values of past frames too.
   */
  dtype: z.enum(["auto", "f32", "bf16", "f16", "fp8", "fp8-kv"]).default("auto"),
  /**
   * The prompt encoder of imported models, four times as large as the smaller transformer. release:
   * its weights are read from disk for each new prompt. keep: they stay in memory, 23 GB in f32.
   * Prompts that were encoded before need neither.
   */
  promptEncoder: z.enum(["release", "keep"]).default("release"),
  /**
   * Who encodes H.264 (VP8 is always the processor's work). nvenc: the GPU where it has an encoder
   * (H100 and A100 have none) and a session left, else the processor.
   */
  videoEncoder: z.enum(["software", "nvenc"]).default("software"),
  /**
   * Who decodes the cameras. nvdec: the GPU where it has a decoder for the stream, else the processor.
   * With nvenc above, pictures stay in the GPU's memory from camera to viewer.
   */
  videoDecoder: z.enum(["software", "nvdec"]).default("software"),
  /**
   * Threads that compute. Sessions of a batch are shared between them; a small model's single
   * session gains nothing from a second one. Codecs and the SFU want cores of their own.
   */
  computeThreads: z.int().min(1).max(64).default(1),
  /** Transforms at the same time in each engine; further ones are refused with a reason. */
  maxSessions: z.int().min(1).max(64).default(3),
  /**
   * What the model and its transforms may take in memory, in MiB; transforms beyond it are refused
   * with the numbers. 0: no limit. `npm run bench -- memory` tells what a model needs.
   */
  memoryLimitMb: z.int().min(0).max(16_777_216).default(0),
  /** Upper limit of generated frames per second (the model's own rate also limits). */
  maxFps: z.int().min(1).max(60).default(30),
  /**
   * Within which a chunk of frames, once complete, should be repainted. Sessions that miss it again
   * and again get fewer steps, then fewer frames. Default: the time in which the default model's
   * next chunk is complete. Less is a promise that a slow machine does not keep.
   */
  delayBudgetMs: z.int().min(20).max(10_000).default(250),
  /** Start and ceiling of the generated track's bitrate. */
  bitrateBps: z.int().min(50_000).max(20_000_000).default(800_000),
  /**
   * Of its lower layer: the same pictures at half their width and height, encoded a second time, for
   * viewers with little bandwidth and small tiles. 0: no such layer.
   */
  lowLayerBitrateBps: z.int().min(0).max(5_000_000).default(180_000),
});

const auth = z
  .strictObject({
    /** open: everybody may join and publish (local trials). token: JWT needed. */
    mode: z.enum(["open", "token"]).default("open"),
    /** HS256 secret, at least 32 characters; needed for mode token. */
    secret: z.string().min(32).optional(),
    /** Life of the tokens made by POST /api/tokens, where the request does not say. */
    tokenTtlSeconds: z.int().min(10).max(31_536_000).default(3600),
    /**
     * Longest life of a token. One that is good for longer is refused, also when an application signed
     * it: a revocation is remembered this long.
     */
    maxTokenTtlSeconds: z.int().min(10).max(31_536_000).default(2_592_000),
  })
  .refine((a) => a.tokenTtlSeconds <= a.maxTokenTtlSeconds, {
    path: ["tokenTtlSeconds"],
    error: "expected at most auth.maxTokenTtlSeconds",
  })
  .refine((a) => a.mode === "open" || a.secret !== undefined, {
    path: ["secret"],
    error: "expected a secret of at least 32 characters because auth.mode is token",
  });

const rooms = z.strictObject({
  /** True: the first who joins an unknown room creates it. False: POST /api/rooms does. */
  autoCreate: z.boolean().default(true),
  /** A room that nobody made by REST is removed after being empty for this time. */
  emptySeconds: z.number().min(0).max(86_400).default(30),
});

const limits = z.strictObject({
  maxRooms: z.int().min(1).default(100),
  maxParticipantsPerRoom: z.int().min(1).default(50),
  /** Signalling messages of one participant waiting for an answer. */
  maxPendingMessages: z.int().min(1).default(64),
  maxMessageBytes: z.int().min(4096).default(65_536),
  /** Per connection. */
  messagesPerSecond: z.int().min(1).default(60),
  /** Per address; IPv6 addresses of one /64 count as one. */
  httpRequestsPerMinute: z.int().min(1).default(1200),
  connectionsPerMinute: z.int().min(1).default(300),
  /** Signalling connections open at the same time; a company behind NAT is one address. */
  maxConnectionsPerAddress: z.int().min(1).default(500),
  /** People of one address who try a look before they join, each in a room of the server's own. */
  maxPreviewsPerAddress: z.int().min(1).default(2),
  /** Transforms at the same time in one room; 0: as many as the engines have places. */
  maxTransformsPerRoom: z.int().min(0).default(0),
  maxTransformsPerIdentity: z.int().min(1).default(1),
  maxTransformsPerAddress: z.int().min(1).default(8),
  /** Of one participant, over time; promptChangesBurst of them at once. */
  promptChangesPerMinute: z.int().min(1).default(30),
  promptChangesBurst: z.int().min(1).default(10),
  /** People who wait for a transform; 0: a full engine refuses at once. */
  transformQueue: z.int().min(0).max(1000).default(20),
  /** How long a participant whose connection broke keeps the place. */
  reconnectGraceSeconds: z.number().min(0).max(300).default(15),
  /** How long after that the participant may come back without a token, as the same person. */
  resumeSeconds: z.number().min(0).max(86_400).default(14_400),
  /** How long a server that was told to end lets people finish. */
  drainSeconds: z.number().min(0).max(86_400).default(5),
});

const metrics = z.strictObject({
  /** Who reads /metrics from another machine sends `Authorization: Bearer …` with it. */
  token: z
    .string()
    .regex(/^[\w.~+/-]{16,256}=*$/, {
      error: "expected at least 16 letters, digits or any of . _ ~ + / - (RFC 6750)",
    })
    .optional(),
  /** True: everybody may read /metrics (where the network keeps strangers out). */
  public: z.boolean().default(false),
});

const log = z.strictObject({
  level: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
});

export const configSchema = z.strictObject({
  http: http.prefault({}),
  sfu: sfu.prefault({}),
  engine: engine.prefault({}),
  auth: auth.prefault({}),
  rooms: rooms.prefault({}),
  limits: limits.prefault({}),
  metrics: metrics.prefault({}),
  log: log.prefault({}),
  /** Styles offered in the client. */
  presetsFile: z.string().min(1).default("config/presets.yaml"),
});

export type Config = z.output<typeof configSchema>;
export type SfuConfig = Config["sfu"];
export type IceServer = z.output<typeof iceServer>;
export type LimitsConfig = Config["limits"];
