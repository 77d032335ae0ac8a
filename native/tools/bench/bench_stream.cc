#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>
#include <memory>
#include <thread>
#include <tuple>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "core/error.h"
#include "core/json.h"
#include "stream/pipeline.h"

namespace driftless {

namespace {

using Clock = std::chrono::steady_clock;
using Pixels = std::vector<uint8_t>;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Moving colour waves with a few hard edges; enough motion to move the noise controller.
void draw_chunk(const ModelInfo& info, int session, int64_t chunk, Pixels& pixels) {
  const double phase = 0.7 * session;
  size_t at = 0;
  for (int f = 0; f < info.frames_per_chunk; ++f) {
    const double t = static_cast<double>(chunk * info.frames_per_chunk + f) / info.fps;
    const int bar = static_cast<int>(t * 60 + 40 * session) % info.width;
    for (int y = 0; y < info.height; ++y) {
      for (int x = 0; x < info.width; ++x) {
        const double wave = std::sin(0.03 * x + 0.05 * y + 2 * t + phase);
        const bool inside = x >= bar && x < bar + 24;
        pixels[at++] = static_cast<uint8_t>(inside ? 230 : 127 + 90 * wave);
        pixels[at++] = static_cast<uint8_t>(inside ? 40 : 127 - 60 * wave);
        pixels[at++] = static_cast<uint8_t>((x * 255) / info.width);
      }
    }
  }
}

struct Track {
  std::unique_ptr<StreamSession> session;
  std::vector<Pixels> clip;  // drawn beforehand: drawing must not be measured
  Pixels out;
  int64_t taken = 0;  // chunks begun or dropped
};

struct Totals {
  int64_t frames = 0, chunks = 0, dropped = 0;
  std::vector<double> work_ms;   // from the chunk's beginning to its picture
  std::vector<double> delay_ms;  // from the chunk's last frame to its picture
  double busy = 0, cpu = 0;      // seconds with work under way, by the clock and of processor time
};

// Batches of a pipeline, as many under way as it can have.
class Runner {
 public:
  explicit Runner(Pipeline& pipeline, Totals& totals) : pipeline_(pipeline), totals_(totals) {}

  // Begins a batch over `who`, whose chunks were complete at these times after `origin`.
  void begin(const std::vector<Track*>& who, const std::vector<double>& complete = {}) {
    if (batches_.size() == pipeline_.depth()) end();
    if (batches_.empty()) {
      busy_since_ = Clock::now();
      cpu_since_ = cpu_seconds();
    }
    batches_.emplace_back();
    Batch& batch = batches_.back();
    batch.began = Clock::now();
    batch.complete = complete;
    for (Track* track : who) {
      const Pixels& in = track->clip[static_cast<size_t>(track->taken) % track->clip.size()];
      batch.jobs.push_back({track->session.get(), in.data(), track->out.data(), {}});
      ++track->taken;
    }
    pipeline_.start(batch.jobs.data(), batch.jobs.size());
    if (pipeline_.depth() == 1) end();
  }
  // Ends the oldest batch.
  void end() {
    pipeline_.finish();
    const Batch batch = std::move(batches_.front());
    batches_.pop_front();
    for (const Pipeline::Job& job : batch.jobs) {
      totals_.work_ms.push_back(since(batch.began) * 1e3);
      ++totals_.chunks;
      if (job.result.has_frames) totals_.frames += pipeline_.info().frames_per_chunk;
    }
    for (double at : batch.complete) totals_.delay_ms.push_back((since(origin) - at) * 1e3);
    if (!batches_.empty()) return;
    totals_.busy += since(busy_since_);
    totals_.cpu += cpu_seconds() - cpu_since_;
  }
  // Ends what is under way.
  void end_all() {
    while (!batches_.empty()) end();
  }
  bool under_way() const { return !batches_.empty(); }
  bool ready() const { return pipeline_.ready(); }

  Clock::time_point origin = Clock::now();

 private:
  struct Batch {
    std::vector<Pipeline::Job> jobs;
    std::vector<double> complete;
    Clock::time_point began;
  };

  Pipeline& pipeline_;
  Totals& totals_;
  std::deque<Batch> batches_;
  Clock::time_point busy_since_;
  double cpu_since_ = 0;
};

// One batch over `who`, alone.
void run_batch(Pipeline& pipeline, const std::vector<Track*>& who, Totals& totals) {
  Runner runner(pipeline, totals);
  runner.begin(who);
  runner.end_all();
}

// The same sessions in one batch and one after another, in alternation, so that a busy neighbour
// slows both alike. Returns the throughput of the first as a multiple of the second's.
double compare_with_serial(Pipeline& pipeline, const std::vector<Track*>& who, double seconds) {
  std::vector<double> together, alone;
  const auto start = Clock::now();
  while (together.size() < 5 || since(start) < seconds) {
    Totals batch, serial;
    run_batch(pipeline, who, batch);
    for (Track* track : who) run_batch(pipeline, {track}, serial);
    together.push_back(batch.busy);
    alone.push_back(serial.busy);
  }
  return percentile(alone, 0.5) / percentile(together, 0.5);
}

}  // namespace

int bench_stream(const Arguments& arguments) {
  ModelOptions options;
  options.dir = find_model(arguments.text("--model", "drift-nano"));
  options.backend = arguments.text("--backend", "cpu");
  options.dtype = arguments.text("--dtype", "auto");
  options.threads = static_cast<int>(arguments.integer("--threads", 1, 1, 256));
  const int sessions = static_cast<int>(arguments.integer("--sessions", 1, 1, 256));
  const double seconds = arguments.number("--seconds", 10, 0.1, 86400);
  TransformSettings settings;
  settings.prompt = arguments.text("--prompt", "watercolour painting on paper");
  settings.steps = static_cast<int>(arguments.integer("--steps", 1, 1, 64));
  settings.smaller_picture = arguments.flag("--smaller");
  const std::string painted = arguments.text("--size", "");
  const bool free_running = arguments.flag("--free");
  // Per session; 0: as many as fit into the time.
  const int64_t chunks = arguments.integer("--chunks", 0, 0, int64_t{1} << 40);
  const std::string compare = arguments.text("--compare", "");
  if (!compare.empty() && compare != "serial") throw Error("--compare", "serial", compare);

  const auto loading = Clock::now();
  const std::unique_ptr<Pipeline> pipeline = Pipeline::load(options);
  const double load_ms = since(loading) * 1e3;
  // As painted in this run.
  ModelInfo info = pipeline->info();
  if (!painted.empty()) std::tie(info.width, info.height) = size_of_text("--size", painted);
  const size_t bytes = static_cast<size_t>(info.frames_per_chunk) *
                       static_cast<size_t>(info.width) * static_cast<size_t>(info.height) * 3;
  const double interval = info.frames_per_chunk / info.fps;
  std::vector<Track> tracks(static_cast<size_t>(sessions));
  for (int s = 0; s < sessions; ++s) {
    Track& track = tracks[static_cast<size_t>(s)];
    settings.seed = static_cast<uint64_t>(s);
    track.session = pipeline->open(settings, info.size());
    track.clip.assign(16, Pixels(bytes));
    for (int64_t c = 0; c < 16; ++c) draw_chunk(info, s, c, track.clip[static_cast<size_t>(c)]);
    track.out.resize(bytes);
  }
  double first_ms = 0;  // of a session's first chunk
  {
    // First calls build primitives for each batch size and take memory.
    Totals warm_up;
    std::vector<Track*> who;
    for (Track& track : tracks) {
      who.push_back(&track);
      if (who.size() <= 8) run_batch(*pipeline, who, warm_up);
      if (who.size() == 1) first_ms = warm_up.work_ms.front();
    }
    for (Track& track : tracks) track.taken = 0;
  }

  double batched_over_serial = 0;
  if (!compare.empty()) {
    std::vector<Track*> who;
    for (Track& track : tracks) who.push_back(&track);
    batched_over_serial = compare_with_serial(*pipeline, who, seconds);
    for (Track& track : tracks) track.taken = 0;
  }

  Totals totals;
  const double resident_at_start = resident_mb();
  Runner runner(*pipeline, totals);
  const auto start = runner.origin;
  // Chunk n of session s is complete at (n + s / sessions) intervals: cameras are not in step.
  const auto due = [&](size_t s, int64_t n) {
    return interval *
           (static_cast<double>(n) + static_cast<double>(s) / static_cast<double>(sessions));
  };
  while (chunks > 0 ? totals.chunks < chunks * sessions : since(start) < seconds) {
    std::vector<Track*> ready;
    std::vector<double> complete;
    const double now = since(start);
    double next = chunks > 0 ? now + interval : seconds;
    for (size_t s = 0; s < tracks.size(); ++s) {
      Track& track = tracks[s];
      if (!free_running) {
        // The newest complete chunk replaces one that nobody took in time.
        while (due(s, track.taken + 1) <= now) {
          ++track.taken;
          ++totals.dropped;
        }
        if (due(s, track.taken) > now) {
          next = std::min(next, due(s, track.taken));
          continue;
        }
      }
      complete.push_back(free_running ? now : due(s, track.taken));
      ready.push_back(&track);
    }
    if (ready.empty() && runner.under_way()) {
      runner.end();
      continue;
    }
    if (ready.empty()) {
      std::this_thread::sleep_until(
          start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(next)));
      continue;
    }
    runner.begin(ready, complete);
  }
  runner.end_all();
  const double elapsed = since(start);
  const double per_session = static_cast<double>(totals.frames) / elapsed / sessions;
  const double capacity =
      totals.busy > 0 ? static_cast<double>(totals.chunks * info.frames_per_chunk) / totals.busy
                      : 0;
  const double cpu_ms =
      totals.chunks > 0 ? totals.cpu * 1e3 / static_cast<double>(totals.chunks) : 0;
  const double p50 = percentile(totals.work_ms, 0.5), p95 = percentile(totals.work_ms, 0.95);
  std::printf(
      "%s at %dx%d, %d session(s), %d step(s)%s, %.1f s, %s\n"
      "%.2f fps per session, %.1f ms per chunk (p95 %.1f, processor time %.1f), delay p95 %.1f ms, "
      "%lld chunks dropped, "
      "%.0f MB resident (%.0f at the start), engine could make %.1f fps in all\n",
      info.name.c_str(), info.width, info.height, sessions, settings.steps,
      settings.smaller_picture ? ", smaller picture" : "", elapsed,
      free_running ? "as fast as it goes" : "at the model's rate", per_session, p50, p95, cpu_ms,
      percentile(totals.delay_ms, 0.95), static_cast<long long>(totals.dropped), resident_mb(),
      resident_at_start, capacity);
  if (!compare.empty()) {
    std::printf("%d session(s) in one batch: %.2f times the throughput of one after another\n",
                sessions, batched_over_serial);
  }
  if (arguments.flag("--json")) {
    Json line = {{"fps", per_session},
                 {"msPerChunkP50", p50},
                 {"msPerChunkP95", p95},
                 {"rssMb", resident_mb()},
                 {"rssMbStart", resident_at_start},
                 {"droppedChunks", totals.dropped},
                 {"delayMsP95", percentile(totals.delay_ms, 0.95)},
                 {"capacityFps", capacity},
                 {"cpuMsPerChunk", cpu_ms},
                 {"loadMs", load_ms},
                 {"firstChunkMs", first_ms},
                 {"backend", options.backend},
                 {"sessions", sessions},
                 {"steps", settings.steps},
                 {"width", info.width},
                 {"height", info.height},
                 {"smaller", settings.smaller_picture},
                 {"threads", options.threads}};
    if (!compare.empty()) line["batchedOverSerial"] = batched_over_serial;
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
