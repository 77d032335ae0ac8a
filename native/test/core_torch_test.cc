// PyTorch archives: what test/golden/torch/make.py wrote is read to the value, and what lies is
// refused with words.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "core/tensor_file.h"
#include "core/torch_archive.h"
#include "core/torch_pickle.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

std::string fixture(const std::string& name) {
  return std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/torch/" + name;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::vector<float> floats(const TensorFile& file, const std::string& name) {
  Arena arena;
  const Tensor t = file.load_f32(name, arena);
  return std::vector<float>(t.f32(), t.f32() + t.count());
}

using Floats = std::vector<float>;

TEST(TorchArchive, ReadsEveryTypeAndView) {
  const TorchArchive file(fixture("trainer.pt"));
  EXPECT_EQ(file.section(), "generator");
  EXPECT_EQ(file.names().size(), 13u);
  EXPECT_EQ(floats(file, "model.f32"), (Floats{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(floats(file, "model.view"), (Floats{3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(file.entry("model.transposed").shape, (Shape{3, 4}));
  EXPECT_EQ(floats(file, "model.transposed"), (Floats{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}));
  EXPECT_EQ(floats(file, "model.column"), (Floats{1, 4, 7, 10}));
  EXPECT_EQ(file.entry("model.bf16").type, TensorFile::Type::BF16);
  EXPECT_EQ(floats(file, "model.bf16"), (Floats{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(file.entry("model.f16").type, TensorFile::Type::F16);
  EXPECT_EQ(floats(file, "model.f16"), (Floats{0, 1, 2, 3}));
  EXPECT_EQ(file.entry("model.f8").type, TensorFile::Type::F8_E4M3);
  EXPECT_EQ(floats(file, "model.f8"), (Floats{0, 1, 2, 3}));
  EXPECT_EQ(floats(file, "model.scalar"), (Floats{7}));
  EXPECT_EQ(file.entry("model.scalar").shape, Shape());
  EXPECT_EQ(file.entry("model.empty").shape, (Shape{0, 4}));
  EXPECT_EQ(floats(file, "model.empty"), Floats());
  EXPECT_EQ(floats(file, "model.parameter"), (Floats{0, 1}));
  Arena arena;
  EXPECT_EQ(file.load_i32("model.i64", arena).i32()[0], -1);
  EXPECT_EQ(file.load_i32("model.i32", arena).i32()[1], 1);
  EXPECT_EQ(file.entry("model.u8").data[2], 2);
  expect_error([&] { file.load_f32("model.i64", arena); }, {"model.i64", "floating", "I64"});
  expect_error(
      [&] {
        file.load_f32("model.f32", Shape{3, 4}, arena);
      },
      {"trainer.pt", "model.f32", "[3, 4]", "[4, 3]"});
  expect_error([&] { file.entry("model.none"); }, {"trainer.pt", "model.none"});
  EXPECT_NO_THROW(file.check_contents());
}

TEST(TorchArchive, TakesTheSectionThatIsAskedFor) {
  const TorchArchive ema(fixture("trainer.pt"), {"generator_ema"});
  EXPECT_EQ(ema.section(), "generator_ema");
  EXPECT_EQ(floats(ema, "model.f32")[0], 100.0f);
  const TorchArchive all(fixture("trainer.pt"), {});
  EXPECT_EQ(all.section(), "");
  EXPECT_TRUE(all.has("generator.model.f32"));
  EXPECT_TRUE(all.has("generator_ema.model.f32"));
  const TorchArchive nested(fixture("nested.pt"));
  EXPECT_EQ(nested.section(), "state_dict");
  EXPECT_EQ(floats(nested, "net.weight"), (Floats{0, 1}));
}

TEST(TensorFile, OpensTheSectionOfAnArchiveOrSaysThatThereIsNone) {
  const auto ema = TensorFile::open(fixture("trainer.pt"), "generator_ema");
  EXPECT_EQ(floats(*ema, "model.f32")[0], 100.0f);
  expect_error([&] { TensorFile::open(fixture("trainer.pt"), "generator_emma"); },
               {"trainer.pt: section", "generator_emma"});
  const std::string plain =
      std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano/dit.safetensors";
  expect_error([&] { TensorFile::open(plain, "generator_ema"); },
               {"dit.safetensors", "PyTorch archive", "another format"});
}

TEST(TorchArchive, ReadsAModulesStateDict) {
  const auto file = TensorFile::open(fixture("module.pth"));
  EXPECT_EQ(floats(*file, "weight"), (Floats{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(floats(*file, "bias"), (Floats{10, 11}));
}

TEST(TorchArchive, CopiesAnyPartOfAView) {
  const TorchArchive file(fixture("trainer.pt"));
  const TensorFile::Entry& entry = file.entry("model.transposed");
  EXPECT_FALSE(entry.dense());
  EXPECT_TRUE(file.entry("model.view").dense());
  float part[5] = {};
  copy_elements(entry, 3, 5, reinterpret_cast<uint8_t*>(part));
  EXPECT_EQ(Floats(part, part + 5), (Floats{9, 1, 4, 7, 10}));
}

struct Lie {
  const char* file;
  std::vector<std::string> words;
};

TEST(TorchArchive, RefusesWhatLies) {
  const Lie lies[] = {
      {"calls-system.pt", {"data.pkl", "plain state dict", "posix.system"}},
      {"compressed.pt", {"record archive/data/0", "compression", "8"}},
      {"big-endian.pt", {"byte order", "little", "big"}},
      {"cut-off.pt", {"complete zip archive", "cut off"}},
      {"overlapping.pt", {"byteorder", "archive/data.pkl"}},
      {"outside-offset.pt", {"record archive/data/0", "1073741824"}},
      {"outside-size.pt", {"record archive/data/0", "before the directory", "1048576"}},
      {"beyond-storage.pt", {"tensor weight", "inside of its storage of 2 elements"}},
      {"negative-offset.pt", {"tensor weight", "offset", "-1"}},
      {"huge-stride.pt", {"tensor weight", "leaves it"}},
      {"wrapped-shape.pt", {"tensor weight", "elements", "2^48"}},
      {"expanded.pt", {"tensor weight", "at most the 2", "1048576"}},
      {"short-storage.pt", {"tensor weight", "storage 0", "12", "8"}},
      {"no-storage.pt", {"record named archive/data/9"}},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.file);
    std::vector<std::string> words = lie.words;
    words.push_back(lie.file);
    expect_error([&] { TensorFile::open(fixture(lie.file)); }, words);
  }
}

TEST(TorchArchive, FindsWrongChecksumsWhenAsked) {
  const TorchArchive file(fixture("wrong-checksum.pt"));
  expect_error([&] { file.check_contents(); }, {"archive/data/0", "checksum"});
}

// A scratch folder that goes away with the test.
class TorchFiles : public testing::Test {
 protected:
  TorchFiles() : dir(testing::TempDir() + "driftless-torch-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(dir);
  }
  ~TorchFiles() override {
    std::error_code ignored;  // a folder left behind in the temporary folder harms nobody
    std::filesystem::remove_all(dir, ignored);
  }
  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(dir + "/" + name, std::ios::binary) << bytes;
    return dir + "/" + name;
  }

  std::string dir;
};

TEST_F(TorchFiles, EveryCutIsAnError) {
  const std::string whole = bytes_of(fixture("trainer.pt"));
  for (size_t size = 0; size < whole.size(); size += 61) {
    const std::string path = write("cut.pt", whole.substr(0, size));
    EXPECT_THROW(TorchArchive file(path), Error) << size << " bytes";
  }
}

// Whatever a byte is changed to, the reader gives an Error or a file whose tensors can all be read.
TEST_F(TorchFiles, NoChangedByteEscapes) {
  const std::string whole = bytes_of(fixture("nested.pt"));
  uint32_t random = 1;
  int errors = 0;
  for (int turn = 0; turn < 400; ++turn) {
    std::string changed = whole;
    random = random * 1664525u + 1013904223u;
    changed[(random >> 8) % whole.size()] = static_cast<char>(random & 0xff);
    try {
      const TorchArchive file(write("changed.pt", changed));
      for (const std::string& name : file.names()) floats(file, name);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 20);
}

// Every prefix of a pickle and every changed opcode, without the archive's checksum around it.
TEST(TorchPickle, NoProgramEscapes) {
  const std::string archive = bytes_of(fixture("trainer.pt"));
  const size_t begin = archive.find("\x80\x02}q");
  ASSERT_NE(begin, std::string::npos);
  const size_t size = archive.find("PK\x07\x08", begin) - begin;
  const std::string program = archive.substr(begin, size);
  const auto read = [](const std::string& bytes) {
    return read_torch_pickle(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                             {"generator"}, "pickle");
  };
  EXPECT_EQ(read(program).tensors.size(), 13u);
  for (size_t cut = 0; cut + 1 < size; ++cut) {
    EXPECT_THROW(read(program.substr(0, cut)), Error) << cut;
  }
  for (size_t at = 0; at < size; ++at) {
    for (int change : {0x01, 0x20, 0x80, 0xff}) {
      std::string changed = program;
      changed[at] = static_cast<char>(changed[at] ^ change);
      try {
        read(changed);
      } catch (const Error&) {
        // Refused; many changes of a name or a number are as good as the original.
      }
    }
  }
}

TEST(TorchPickle, RefusesLoopsAndFloods) {
  const auto read = [](const std::string& bytes) {
    read_torch_pickle(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), {}, "pickle");
  };
  using namespace std::string_literals;
  // d = {}; d["a"] = d
  expect_error(
      [&] {
        read(
            "\x80\x02}q\x00X\x01\x00\x00\x00"
            "ah\x00s."s);
      },
      {"nested"});
  expect_error([&] { read("\x80\x02" + std::string(1100000, 'N') + "."); }, {"million"});
  expect_error([&] { read("\x80\x02."); }, {"a value", "empty"});
  expect_error([&] { read("\x80\x01}."); }, {"protocol", "1"});
  expect_error([&] { read("\x80\x02]."); }, {"dictionary of tensors", "tuple or list"});
}

TEST_F(TorchFiles, ShardsAreOneFile) {
  const auto tensors = [](const std::string& name, float value) {
    const std::string header =
        "{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    const uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header +
           std::string(reinterpret_cast<const char*>(&value), 4);
  };
  write("m-1.safetensors", tensors("a", 1));
  write("m-2.safetensors", tensors("b", 2));
  const auto index = [&](const std::string& map) {
    return write("m.safetensors.index.json", "{\"weight_map\":" + map + "}");
  };
  const auto file = TensorFile::open(index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})"));
  EXPECT_EQ(file->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(floats(*file, "b"), Floats{2});
  const auto refused = [&](const std::string& map, const std::vector<std::string>& words) {
    const std::string path = index(map);
    expect_error([&] { TensorFile::open(path); }, words);
  };
  refused(R"({"a":"m-2.safetensors"})", {"m-2.safetensors", "named a"});
  refused(R"({"a":"../m-1.safetensors"})", {"without a folder"});
  refused(R"({"a":"m-3.safetensors"})", {"m-3.safetensors"});
  write("m-1.safetensors", tensors("c", 1));
  refused(R"({"c":"m-1.safetensors","a":"m-1.safetensors"})", {"named a"});
}

}  // namespace
}  // namespace driftless
