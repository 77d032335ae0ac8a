#pragma once

// Command line of the bench: --name value pairs, each of which must be known.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace driftless {

class Arguments {
 public:
  // `flags` take no value. Throws Error for an unknown name or a missing value.
  Arguments(int argc, char** argv, int first, const std::vector<std::string>& names,
            const std::vector<std::string>& flags);

  bool flag(const std::string& name) const { return values_.count(name) != 0; }
  std::string text(const std::string& name, const std::string& fallback) const;
  // A whole number within [low, high]; throws Error otherwise.
  int64_t integer(const std::string& name, int64_t fallback, int64_t low, int64_t high) const;
  double number(const std::string& name, double fallback, double low, double high) const;

 private:
  std::map<std::string, std::string> values_;
};

// The folder with model.json that is meant: `name` itself, or the one of that name below models/ of
// the working folder or of this program's checkout. Throws Error when there is none.
std::string find_model(const std::string& name);

// "144x256" as width and height. Throws Error for anything else.
std::pair<int, int> size_of_text(const std::string& name, const std::string& text);

// Value at a share (0..1) of the sorted list; 0 for an empty one.
double percentile(std::vector<double> values, double share);

// Processor time of this process in seconds, all threads: what a busy machine does not distort.
double cpu_seconds();
// Of the steady clock.
double seconds_now();

// Resident memory of this process in MB.
double resident_mb();

}  // namespace driftless
