#include "bench/arguments.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace driftless {

namespace {

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

Arguments::Arguments(int argc, char** argv, int first, const std::vector<std::string>& names,
                     const std::vector<std::string>& flags) {
  for (int i = first; i < argc; ++i) {
    const std::string name = argv[i];
    if (contains(flags, name)) {
      values_[name] = "";
    } else if (contains(names, name)) {
      if (i + 1 >= argc) throw Error(name, "a value", "nothing");
      values_[name] = argv[++i];
    } else {
      throw Error("argument", "one of those that --help lists", name);
    }
  }
}

std::string Arguments::text(const std::string& name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

double Arguments::number(const std::string& name, double fallback, double low, double high) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return fallback;
  char* end = nullptr;
  const double value = std::strtod(found->second.c_str(), &end);
  if (found->second.empty() || *end != '\0' || !(value >= low && value <= high)) {
    throw Error(name, std::to_string(low) + " to " + std::to_string(high), found->second);
  }
  return value;
}

int64_t Arguments::integer(const std::string& name, int64_t fallback, int64_t low,
                           int64_t high) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return fallback;
  char* end = nullptr;
  const long long value = std::strtoll(found->second.c_str(), &end, 10);
  if (found->second.empty() || *end != '\0' || value < low || value > high) {
    throw Error(name, std::to_string(low) + " to " + std::to_string(high), found->second);
  }
  return value;
}

std::pair<int, int> size_of_text(const std::string& name, const std::string& text) {
  int width = 0, height = 0, end = 0;
  const int read = std::sscanf(text.c_str(), "%5dx%5d%n", &width, &height, &end);
  if (read != 2 || static_cast<size_t>(end) != text.size() || width < 2 || height < 2) {
    throw Error(name, "WIDTHxHEIGHT, such as 144x256", text);
  }
  return {width, height};
}

std::string find_model(const std::string& name) {
  namespace fs = std::filesystem;
  if (fs::exists(name + "/model.json")) return name;
  std::vector<fs::path> roots{fs::current_path()};
  for (fs::path p = fs::read_symlink("/proc/self/exe").parent_path(); p.has_relative_path();
       p = p.parent_path()) {
    roots.push_back(p);
  }
  for (const fs::path& root : roots) {
    const fs::path candidate = root / "models" / name;
    if (fs::exists(candidate / "model.json")) return candidate.string();
  }
  throw Error("--model", "a folder with model.json, or the name of one in models/", name);
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(at + 0.5)];
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

double resident_mb() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atof(line.c_str() + 6) / 1024.0;
  }
  return 0;
}

}  // namespace driftless
