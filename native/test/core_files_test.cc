#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "core/json.h"
#include "core/safetensors.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    path = ::testing::TempDir() + "driftless-files-test-" + std::to_string(::getpid());
  }
  ~FilesTest() override { std::remove(path.c_str()); }

  void write(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  /// A file with the header's true length in front.
  void write(const std::string& header, const std::string& data) {
    const uint64_t length = header.size();
    std::string bytes(reinterpret_cast<const char*>(&length), 8);
    write(bytes + header + data);
  }
  template <typename T>
  static std::string raw(std::initializer_list<T> values) {
    return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
  }
  void expect_invalid(const std::vector<std::string>& parts) {
    expect_error([&] { SafeTensors file(path); }, parts);
  }

  std::string path;
  Arena arena;
};

TEST_F(FilesTest, LoadsAndWidensEveryType) {
  write(R"({"__metadata__":{"format":"pt"},)"
        R"("f32":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
        R"("f16":{"dtype":"F16","shape":[4],"data_offsets":[8,16]},)"
        R"("bf16":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},)"
        R"("i32":{"dtype":"I32","shape":[1],"data_offsets":[20,24]},)"
        R"("i64":{"dtype":"I64","shape":[],"data_offsets":[24,32]},)"
        R"("f8":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[32,35]},)"
        R"("none":{"dtype":"F32","shape":[0,5],"data_offsets":[35,35]}})",
        raw<float>({1.5f, -2.0f}) + raw<uint16_t>({0x3c00, 0x0001, 0xfbff, 0x8000}) +
            raw<uint16_t>({0x3f80, 0xc040}) + raw<int32_t>({-7}) + raw<int64_t>({123}) +
            raw<uint8_t>({0x38, 0x01, 0xfe}));
  const SafeTensors file(path);
  EXPECT_EQ(file.names().size(), 7u);
  EXPECT_EQ(file.load_f32("f32", arena).f32()[1], -2.0f);
  const Tensor f16 = file.load_f32("f16", arena);
  EXPECT_EQ(f16.f32()[0], 1.0f);
  EXPECT_EQ(f16.f32()[1], 0x1p-24f);
  EXPECT_EQ(f16.f32()[2], -65504.0f);
  EXPECT_TRUE(std::signbit(f16.f32()[3]));
  EXPECT_EQ(file.load_f32("bf16", arena).f32()[1], -3.0f);
  EXPECT_EQ(file.load_i32("i32", arena).i32()[0], -7);
  EXPECT_EQ(file.load_i32("i64", arena).i32()[0], 123);
  const Tensor f8 = file.load_f32("f8", arena);
  EXPECT_EQ(f8.f32()[0], 1.0f);
  EXPECT_EQ(f8.f32()[1], 0x1p-9f);
  EXPECT_EQ(f8.f32()[2], -448.0f);
  EXPECT_EQ(file.load_f32("none", arena).count(), 0);
  expect_error([&] { file.load_f32("i32", arena); }, {"i32", "floating", "I32"});
  expect_error([&] { file.load_i32("f32", arena); }, {"I32 or I64", "F32"});
  expect_error([&] { file.load_f32("missing", arena); }, {path, "missing"});
  expect_error([&] { file.load_f32("f32", {2, 2}, arena); }, {"[2, 2]", "[2, 1]"});
}

TEST_F(FilesTest, I64ThatDoesNotFitIsAnError) {
  write(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", raw<int64_t>({1LL << 40}));
  const SafeTensors file(path);
  expect_error([&] { file.load_i32("a", arena); }, {"32 bits", "1099511627776"});
}

TEST_F(FilesTest, BrokenFilesAreErrors) {
  expect_error([&] { SafeTensors file("/nonexistent/file"); }, {"/nonexistent/file"});
  expect_error([&] { SafeTensors file("/"); }, {"no regular file"});
  write("short");
  expect_invalid({"at least 8 bytes", "5 bytes"});
  write(raw<uint64_t>({1000}) + "{}");
  expect_invalid({"header length", "1000"});
  write(raw<uint64_t>({0xffffffffffffffffull}) + "{}");
  expect_invalid({"header length"});
  write("{\"a\":", "");
  expect_invalid({"header", "JSON object"});
  write("[1]", "");
  expect_invalid({"JSON object", "array"});
}

TEST_F(FilesTest, ForgedEntriesAreErrors) {
  const auto one = [&](const std::string& entry) { write("{\"a\":" + entry + "}", "12345678"); };
  one(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})");
  expect_invalid({"tensor a", "inside 8 bytes", "0..16"});
  one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})");
  expect_invalid({"bytes of shape [3]", "12", "8"});
  one(R"({"dtype":"F64","shape":[1],"data_offsets":[0,8]})");
  expect_invalid({"dtype", "F8_E4M3", "F64"});
  one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})");
  expect_invalid({"dimension", "-2"});
  one(R"({"dtype":"F32","shape":[1e300],"data_offsets":[0,8]})");
  expect_invalid({"shape", "whole number", "1e+300"});
  one(R"({"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]})");
  expect_invalid({"2^48"});
  one(R"({"dtype":"F32","shape":[1,1,1,1,1,1,2],"data_offsets":[0,8]})");
  expect_invalid({"rank", "7"});
  one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})");
  expect_invalid({"data offsets", "8..0"});
  one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})");
  expect_invalid({"data offsets"});
  one(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})");
  expect_invalid({"offsets", "2", "1"});
  one(R"({"dtype":"F32","shape":"x","data_offsets":[0,8]})");
  expect_invalid({"shape"});
  one(R"({"shape":[2],"data_offsets":[0,8]})");
  expect_invalid({"dtype", "nothing"});
  one("7");
  expect_invalid({"tensor a"});
}

TEST(Widening, E4M3CoversAllValues) {
  // From the definition: sign, 4 exponent bits with bias 7, 3 mantissa bits, no infinity.
  for (int bits = 0; bits < 256; ++bits) {
    const float value = f8_e4m3_to_f32(static_cast<uint8_t>(bits));
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value));
      continue;
    }
    const double magnitude = exponent == 0 ? mantissa / 8.0 * std::pow(2.0, -6)
                                           : (1 + mantissa / 8.0) * std::pow(2.0, exponent - 7);
    EXPECT_EQ(value, bits & 0x80 ? -magnitude : magnitude) << bits;
  }
}

TEST(Widening, F16AndBf16Specials) {
  EXPECT_TRUE(std::isinf(f16_to_f32(0x7c00)));
  EXPECT_TRUE(std::isnan(f16_to_f32(0x7e00)));
  EXPECT_EQ(f16_to_f32(0x0400), 0x1p-14f);
  EXPECT_EQ(f16_to_f32(0x03ff), 1023 * 0x1p-24f);
  EXPECT_TRUE(std::isnan(bf16_to_f32(0x7fc0)));
  EXPECT_EQ(bf16_to_f32(0x0001), 0x1p-133f);
}

TEST_F(FilesTest, JsonErrorsNameFileAndKey) {
  write(R"({"a":{"b":3,"c":"x"}})");
  const Json json = load_json(path);
  EXPECT_EQ(json_get<int>(json["a"], "b", "a"), 3);
  EXPECT_EQ(json_get<int>(json["a"], "d", "a", 5), 5);
  expect_error([&] { json_get<int>(json["a"], "d", "a"); }, {"a.d", "nothing"});
  expect_error([&] { json_get<int>(json["a"], "c", "a"); }, {"a.c", "string"});
  write("{");
  expect_error([&] { load_json(path); }, {path, "not valid JSON"});
  expect_error([&] { load_json(path + "-missing"); }, {path + "-missing"});
}

}  // namespace
}  // namespace driftless
