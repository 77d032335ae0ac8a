// The state machine of the stream: bytes open, change, run and close sessions of a tiny model, of
// two shapes, in any order and company. After every run, against a model of the stream batch in a
// few lines:
//
// - frames come out exactly when the last row holds a chunk, and they are that chunk's; another
// size
//   of picture empties the rows;
// - they carry the revision of the settings that the chunk was begun with;
// - the noise scale stays in the model's range, and every ring inside its length;
// - refused settings change nothing;
// - the pictures of one session are those of its twin, which lives alone on another pipeline.

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "core/error.h"
#include "models_test_support.h"
#include "stream/pipeline.h"
#include "stream/session.h"

using namespace driftless;

namespace {

constexpr size_t kSessions = 3, kMaxRuns = 12;
constexpr size_t kFrameBytes = 48 * 16 * 3, kChunkBytes = 4 * kFrameBytes;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Bytes of the input one by one; zeros after the end.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool left() const { return at_ < size_; }
  uint8_t next() { return left() ? data_[at_++] : 0; }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

// The models are loaded once: they hold no state of a session.
struct World {
  static Json small() {
    Json json = tiny_model_json();
    json["width"] = 48;
    json["height"] = 16;
    json["sizes"] = {{48, 16}, {16, 48}};  // as many bytes
    return json;
  }

  TinyModel files{small()};
  ModelConfig config = parse_model_config(files.json(), "tiny");
  std::unique_ptr<Pipeline> shared = Pipeline::load(ModelOptions{files.dir(), "cpu", 1});
  std::unique_ptr<Pipeline> alone = Pipeline::load(ModelOptions{files.dir(), "cpu", 1});
};

World& world() {
  static World instance;
  return instance;
}

// What a row should hold: the chunk's index and the revision it was begun with.
struct Expected {
  uint64_t index, revision;
};

struct Client {
  std::unique_ptr<StreamSession> session, twin;
  std::vector<std::optional<Expected>> rows;
  int steps = 1;
  bool smaller = false, painted_smaller = false;
  uint64_t revision = 0, chunks = 0;
};

// Good settings most of the time; `good` says which.
TransformSettings settings_of(Bytes& bytes, bool& good) {
  static const char* const kPrompts[] = {"", "rain", "a marble statue", "\xff\xfe", "neon neon"};
  const uint8_t what = bytes.next();
  TransformSettings settings;
  settings.prompt = kPrompts[what % 5];
  const uint8_t size = bytes.next();
  settings.steps = 1 + size % 4;
  settings.smaller_picture = size % 8 >= 4;
  settings.seed = bytes.next() % 3;
  settings.strength = static_cast<float>(bytes.next()) / 127.5f;
  good = what < 224;
  if (good) return settings;
  switch (what % 4) {
    case 0:
      settings.strength = std::nanf("");
      break;
    case 1:
      settings.strength = 2.5f;
      break;
    case 2:
      settings.steps = what % 8 < 4 ? 0 : 5;
      break;
    default:
      settings.prompt.assign(5000, 'x');
  }
  return settings;
}

void open_or_update(Client& client, bool with_twin, Bytes& bytes) {
  bool good = false;
  const TransformSettings settings = settings_of(bytes, good);
  bool taken = true;
  try {
    if (client.session == nullptr) {
      const PictureSize size = settings.seed == 2 ? PictureSize{16, 48} : PictureSize{48, 16};
      auto session = world().shared->open(settings, size);
      client = Client();
      client.session = std::move(session);
      if (with_twin) client.twin = world().alone->open(settings, size);
      client.revision = 1;
    } else {
      const uint64_t revision = world().shared->update(*client.session, settings);
      require(revision == client.revision + 1, "revisions count up by one");
      client.revision = revision;
      if (client.twin) world().alone->update(*client.twin, settings);
    }
  } catch (const Error&) {
    taken = false;
  }
  require(taken == good, "settings are taken when they are in range, and refused otherwise");
  if (!taken) return;
  client.steps = settings.steps;
  client.smaller = settings.smaller_picture;
}

std::vector<uint8_t> draw(uint8_t pattern) {
  std::vector<uint8_t> pixels(kChunkBytes);
  for (size_t i = 0; i < kChunkBytes; ++i) {
    const size_t moved = i + i / kFrameBytes * (pattern % 8) * 3;
    pixels[i] = static_cast<uint8_t>(pattern + moved / (1 + pattern % 5) * 7);
  }
  return pixels;
}

void check(Client& client, const ChunkResult& result) {
  if (std::exchange(client.painted_smaller, client.smaller) != client.smaller) client.rows.clear();
  client.rows.resize(static_cast<size_t>(client.steps));
  client.rows.insert(client.rows.begin(), Expected{client.chunks++, client.revision});
  client.rows.pop_back();
  const std::optional<Expected> finished = client.rows.back();
  client.rows.back().reset();
  require(result.has_frames == finished.has_value(), "frames when the last row holds a chunk");
  if (finished) {
    require(result.chunk_index_out == finished->index, "frames of the chunk in the last row");
    require(result.settings_revision == finished->revision, "revision of the chunk's beginning");
  }
  const ScheduleConfig& schedule = world().config.schedule;
  const double scale = static_cast<double>(result.noise_scale);
  require(scale <= schedule.noise_scale + 1e-6 &&
              scale >= schedule.noise_scale - schedule.motion_range - 1e-6,
          "noise scale in the model's range");
  auto& session = dynamic_cast<Session&>(*client.session);
  require(session.rows() == static_cast<size_t>(client.steps), "a row for each step");
  for (size_t row = 0; row < session.rows(); ++row) {
    const RollingCache& cache = session.cache(row);
    const int position = cache.query_position(cache.moment());
    require(
        position >= 0 && position < schedule.kv_frames && cache.valid_slots() <= schedule.kv_frames,
        "positions inside the ring");
  }
}

// Runs the sessions of `mask` in one batch, beginning with any of them.
void run(std::vector<Client>& clients, uint8_t mask, uint8_t pattern) {
  std::vector<Pipeline::Job> jobs;
  std::vector<Client*> who;
  std::vector<std::vector<uint8_t>> in(kSessions), out(kSessions);
  for (size_t i = 0; i < kSessions; ++i) {
    const size_t s = (i + mask / 8u) % kSessions;
    if ((mask >> s & 1) == 0 || clients[s].session == nullptr) continue;
    in[s] = draw(static_cast<uint8_t>(pattern + 31 * s));
    out[s].assign(kChunkBytes, 0);
    jobs.push_back({clients[s].session.get(), in[s].data(), out[s].data(), {}});
    who.push_back(&clients[s]);
  }
  world().shared->run(jobs.data(), jobs.size());
  for (size_t j = 0; j < jobs.size(); ++j) {
    check(*who[j], jobs[j].result);
    if (!who[j]->twin) continue;
    std::vector<uint8_t> alone(kChunkBytes, 0);
    Pipeline::Job job{who[j]->twin.get(), jobs[j].rgb_in, alone.data(), {}};
    world().alone->run(&job, 1);
    require(std::memcmp(alone.data(), jobs[j].rgb_out, kChunkBytes) == 0,
            "company does not change a picture");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  std::vector<Client> clients(kSessions);
  size_t runs = 0;
  while (bytes.left() && runs < kMaxRuns) {
    const uint8_t what = bytes.next();
    const size_t who = what / 8 % kSessions;
    switch (what % 8) {
      case 0:
      case 1:
        open_or_update(clients[who], who == 0, bytes);
        break;
      case 2:
        clients[who] = Client();
        break;
      default:
        run(clients, what / 8 == 0 ? 7 : what / 8, bytes.next());
        ++runs;
    }
  }
  return 0;
}
