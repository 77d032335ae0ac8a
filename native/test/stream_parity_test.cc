// Runs the real driftless-parity program on the recorded vectors of test/golden/reference.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/json.h"
#include "ops/words.h"

namespace driftless {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/reference";

struct Result {
  int code = -1;
  std::string output;  // both streams

  Json last_line() const {
    const size_t end = output.find_last_not_of('\n');
    const size_t begin = output.rfind('\n', end);
    return Json::parse(output.substr(begin + 1, end - begin));
  }
};

Result parity(const std::string& arguments, const char* name = "driftless-parity") {
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / name;
  Result result;
  FILE* pipe = ::popen((program.string() + " " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  size_t count = 0;
  while ((count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0) {
    result.output.append(buffer, count);
  }
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

// A copy of the vectors that a test may spoil.
class Copy {
 public:
  Copy() : dir_(fs::temp_directory_path() / ("driftless-golden-" + std::to_string(::getpid()))) {
    fs::remove_all(dir_);
    fs::copy(kGolden, dir_);
  }
  ~Copy() {
    std::error_code ignored;  // a folder left behind in the temporary folder harms nobody
    fs::remove_all(dir_, ignored);
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::string arguments() const { return "--golden " + dir_.string() + " --json"; }

 private:
  fs::path dir_;
};

class Parity : public testing::TestWithParam<const char*> {};

TEST_P(Parity, RecordedVectorsPass) {
  const Result result = parity("--golden " + kGolden + " --json --backend " + GetParam());
  ASSERT_EQ(result.code, 0) << result.output;
  const Json json = result.last_line();
  EXPECT_EQ(json.at("failed"), 0);
  EXPECT_GE(json.at("cases").size(), 4u);
  for (const Json& entry : json.at("cases")) {
    EXPECT_TRUE(entry.at("ok")) << entry.dump();
    EXPECT_LE(entry.at("maxRelErr").get<double>(), 2e-4) << entry.dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Parity, testing::Values("reference", "cpu"));

TEST(ParityProgram, RecordedVectorsPassInBf16) {
  if (!kHasBf16) GTEST_SKIP() << "this build has no bf16 products";
  const Result result = parity("--golden " + kGolden + " --json --dtype bf16");
  ASSERT_EQ(result.code, 0) << result.output;
  const Json json = result.last_line();
  EXPECT_EQ(json.at("dtype"), "bf16");
  double largest = 0;
  for (const Json& entry : json.at("cases")) {
    EXPECT_TRUE(entry.at("ok")) << entry.dump();
    largest = std::max(largest, entry.at("maxRelErr").get<double>());
  }
  EXPECT_LE(largest, 0.03);
  EXPECT_GE(largest, 2e-4) << "bf16 must really be another arithmetic";
}

// As npm run gpu:suite asks for it, on the emulated device, where 16 bits take too long.
TEST(ParityProgram, RecordedVectorsPassOnTheEmulatedGpu) {
  const Result result = parity("--golden " + kGolden + " --json --backend cuda --dtype f32",
                               "driftless-parity-emulated");
  ASSERT_EQ(result.code, 0) << result.output;
  const Json json = result.last_line();
  EXPECT_EQ(json.at("failed"), 0);
  EXPECT_GE(json.at("cases").size(), 4u);
  EXPECT_NE(result.output.find("backend cuda"), std::string::npos) << result.output;
}

TEST(ParityProgram, FailedCaseIsExitCodeOne) {
  const Copy copy;
  Json manifest = load_json(copy.path("manifest.json"));
  manifest["files"]["dit_stream_n2"]["config"]["rope_refresh_at_frame"] = 50;
  std::ofstream(copy.path("manifest.json")) << manifest.dump();
  const Result result = parity(copy.arguments());
  EXPECT_EQ(result.code, 1) << result.output;
  EXPECT_EQ(result.last_line().at("failed"), 1);
  // Integers come first, because one wrong ring decision explains everything after it.
  EXPECT_NE(result.output.find("ring_evict"), std::string::npos) << result.output;
}

TEST(ParityProgram, SpoiltWeightsAreNoticed) {
  const Copy copy;
  std::fstream file(copy.path("dit_weights.safetensors"),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1000, std::ios::end);
  file.write("\x11\x22\x33\x44", 4);
  file.close();
  EXPECT_EQ(parity(copy.arguments()).code, 1);
}

TEST(ParityProgram, UnusableSetIsExitCodeTwo) {
  EXPECT_EQ(parity("--golden /nowhere").code, 2);
  EXPECT_EQ(parity("").code, 2);
  EXPECT_EQ(parity("--golden " + kGolden + " --backend gpu").code, 2);
  EXPECT_EQ(parity("--golden " + kGolden + " --fast").code, 2);
  {
    const Copy copy;
    fs::remove(copy.path("manifest.json"));
    const Result result = parity(copy.arguments());
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.output.find("manifest.json"), std::string::npos) << result.output;
  }
  {
    const Copy copy;
    fs::resize_file(copy.path("dit_stream_n2.safetensors"), 5000);
    const Result result = parity(copy.arguments());
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.output.find("dit_stream_n2"), std::string::npos) << result.output;
  }
}

TEST(ParityProgram, Helps) {
  const Result result = parity("--help");
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.output.find("--golden"), std::string::npos);
}

}  // namespace
}  // namespace driftless
