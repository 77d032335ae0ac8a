#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace driftless {

/// The base of all that the engine throws. Every message names what was expected and what came,
/// so that a wrong file or shape can be put right without a debugger.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}

  /// "<what>: expected <expected>, got <got>".
  template <typename Expected, typename Got>
  Error(const std::string& what, const Expected& expected, const Got& got)
      : std::runtime_error(format(what, expected, got)) {}

 private:
  template <typename Expected, typename Got>
  static std::string format(const std::string& what, const Expected& expected, const Got& got) {
    std::ostringstream text;
    text << what << ": expected " << expected << ", got " << got;
    return text.str();
  }
};

/// Memory was asked for and there is no more; asking for less may work.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// A device that this process cannot use any more, whatever it does: the process has to end.
class DeviceLost : public Error {
 public:
  using Error::Error;
};

}  // namespace driftless

/// Throws driftless::Error(what, expected, got) unless both values are equal. Each argument is
/// evaluated once.
#define DL_CHECK_EQ(what, expected, got)                                               \
  do {                                                                                 \
    const auto& dl_expected = (expected);                                              \
    const auto& dl_got = (got);                                                        \
    if (!(dl_expected == dl_got)) throw ::driftless::Error(what, dl_expected, dl_got); \
  } while (0)

/// Throws driftless::Error(what, expected_text, got) unless `condition` holds.
#define DL_CHECK(condition, what, expected_text, got)                       \
  do {                                                                      \
    if (!(condition)) throw ::driftless::Error(what, expected_text, (got)); \
  } while (0)
