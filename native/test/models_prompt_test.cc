// Prompts: cleaning, tokens, UMT5's embeddings, and the cache that keeps them.

#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "models/prompt_cache.h"
#include "models/tokenizer.h"
#include "models/umt5_prompt_encoder.h"
#include "models_test_support.h"

namespace driftless {
namespace {

std::string checkpoints() { return std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/checkpoints"; }

TEST(CleanPrompt, ResolvesReferencesTwice) {
  EXPECT_EQ(clean_prompt("Tom &amp; Jerry"), "Tom & Jerry");
  EXPECT_EQ(clean_prompt("Tom &amp;amp; Jerry"), "Tom & Jerry");
  EXPECT_EQ(clean_prompt("&amp;amp;amp;"), "&amp;");
  EXPECT_EQ(clean_prompt("&lt;b&gt; &#65;&#x42;&#X43; caf&eacute;"), "<b> ABC caf\xc3\xa9");
  EXPECT_EQ(clean_prompt("&#x1F600;"), "\xf0\x9f\x98\x80");
  // What is no reference stays: unknown, unfinished, out of range.
  for (const char* text :
       {"&nothing;", "&amp", "a & b; c", "&#;", "&#x;", "&#xD800;", "&#1114112;", "&#-65;", "&;"}) {
    EXPECT_EQ(clean_prompt(text), text);
  }
}

TEST(CleanPrompt, CollapsesUnicodesWhiteSpace) {
  EXPECT_EQ(clean_prompt("  a \t\r\n b  "), "a b");
  EXPECT_EQ(clean_prompt("a\xc2\xa0\xe3\x80\x80\xe2\x80\x89z"), "a z");
  EXPECT_EQ(clean_prompt("a&nbsp;&nbsp;b"), "a b");
  EXPECT_EQ(clean_prompt(" \n "), "");
  EXPECT_EQ(clean_prompt("\xe2\x80"), "\xe2\x80") << "broken UTF-8 is left as it is";
}

TEST(Tokenizer, CutsEndsAndTruncates) {
  const Tokenizer tokenizer(checkpoints() + "/tokenizer.model");
  EXPECT_EQ(tokenizer.pad_id(), 0);
  EXPECT_EQ(tokenizer.end_id(), 1);
  EXPECT_EQ(tokenizer.encode("", 16), std::vector<int32_t>{1});
  const std::vector<int32_t> ids = tokenizer.encode("a castle at night", 16);
  // By Debian's spm_encode.
  EXPECT_EQ(ids, (std::vector<int32_t>{10, 21, 11, 44, 31, 10, 5, 24, 1}));
  const std::vector<int32_t> cut = tokenizer.encode("a castle at night", 4);
  EXPECT_EQ(cut, (std::vector<int32_t>{ids[0], ids[1], ids[2], 1}));
  expect_contains(error_of([] { Tokenizer("/nonexistent"); }), "/nonexistent");
  expect_contains(error_of([] { Tokenizer(checkpoints() + "/umt5.pth"); }), "SentencePiece");
}

class Umt5Prompt : public testing::TestWithParam<const char*> {
 protected:
  static Umt5PromptConfig config() {
    Umt5PromptConfig config;
    config.file = "umt5.pth";
    config.tokenizer_file = "tokenizer.model";
    config.network = Umt5Config{96, 8, 8, 12, 2, 2};
    config.length = 16;
    return config;
  }
};

TEST_P(Umt5Prompt, EqualsTheNetworkOnPaddedTokens) {
  Umt5PromptEncoder encoder(config(), checkpoints(), make_ops(GetParam()), true);
  Arena arena;
  const Tensor text = arena.tensor({16, 8}), expected = arena.tensor({16, 8});
  encoder.encode(" a castle&#32;at  night ", text);

  const Tokenizer tokenizer(checkpoints() + "/tokenizer.model");
  std::vector<int32_t> ids = tokenizer.encode("a castle at night", 16);
  const auto used = static_cast<int64_t>(ids.size());
  ids.resize(16, tokenizer.pad_id());
  FileWeights weights(checkpoints() + "/umt5.pth");
  const auto ops = make_ops("reference");
  Umt5Encoder network(config().network, weights, *ops);
  network.encode(Tensor(DType::i32, {16}, ids.data()), used, expected);
  EXPECT_LT(relative_error(expected.f32(), text.f32(), 16 * 8), 1e-5);
  for (int64_t i = used * 8; i < 16 * 8; ++i) EXPECT_EQ(text.f32()[i], 0.0f);
}

TEST_P(Umt5Prompt, ReadingBlockByBlockIsTheSame) {
  Umt5PromptEncoder resident(config(), checkpoints(), make_ops(GetParam()), true);
  Umt5PromptEncoder reading(config(), checkpoints(), make_ops(GetParam()), false);
  Arena arena;
  const Tensor expected = arena.tensor({16, 8}), text = arena.tensor({16, 8});
  for (const char* prompt : {"a castle at night", "", "neon rain", "a castle at night"}) {
    resident.encode(prompt, expected);
    reading.encode(prompt, text);
    for (int64_t i = 0; i < text.count(); ++i)
      ASSERT_EQ(text.f32()[i], expected.f32()[i]) << prompt;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Umt5Prompt, testing::Values("reference", "cpu"));

TEST(Umt5PromptErrors, NameTokenizerAndTensors) {
  Umt5PromptConfig config;
  config.file = "umt5.pth";
  config.tokenizer_file = "tokenizer.model";
  for (bool resident : {true, false}) {
    const auto load = [&] {
      Umt5PromptEncoder(config, checkpoints(), make_ops("reference"), resident);
    };
    config.network = Umt5Config{20, 8, 8, 12, 2, 2};
    expect_contains(error_of(load), "tokenizer.model: expected at most the network's 20 tokens");
    config.network = Umt5Config{96, 8, 8, 13, 2, 2};
    expect_contains(error_of(load), "blocks.0.ffn.");
    config.network = Umt5Config{96, 8, 8, 12, 2, 1};
    expect_contains(error_of(load), "blocks.1.");
  }
}

// What encoders did, seen by a test while the cache owns them.
struct Log {
  std::mutex mutex;
  std::condition_variable changed;
  int made = 0, alive = 0, encoded = 0;
  bool hold = false;  // encoders wait while this is set
};

// Fills as many rows as the prompt has letters with the first letter's code.
class LetterEncoder : public PromptEncoder {
 public:
  explicit LetterEncoder(Log& log) : log_(log) {
    const std::lock_guard<std::mutex> lock(log.mutex);
    ++log.made;
    ++log.alive;
  }
  ~LetterEncoder() override {
    const std::lock_guard<std::mutex> lock(log_.mutex);
    --log_.alive;
  }
  int64_t length() const override { return 8; }
  int64_t dim() const override { return 4; }
  void encode(const std::string& prompt, const Tensor& text) override {
    std::unique_lock<std::mutex> lock(log_.mutex);
    ++log_.encoded;
    log_.changed.notify_all();
    log_.changed.wait(lock, [&] { return !log_.hold; });
    if (prompt == "bad") throw Error("prompt", "a good one", "bad");
    std::fill_n(text.f32(), text.count(), 0.0f);
    std::fill_n(text.f32(), 4 * prompt.size(),
                prompt.empty() ? 0.0f : static_cast<float>(prompt[0]));
  }

 private:
  Log& log_;
};

class PromptCacheTest : public testing::Test {
 protected:
  std::unique_ptr<PromptCache> cache(EncoderResidency residency, size_t bytes = 1 << 20) {
    return std::make_unique<PromptCache>(
        8, 4, [this] { return std::make_unique<LetterEncoder>(log_); }, residency, bytes);
  }
  // The rows of a prompt, which must be its first letter and then zeros.
  void expect_embedded(PromptCache& cache, const std::string& prompt) {
    std::vector<float> values(8 * 4, -1.0f);
    cache.embed(prompt, Tensor({8, 4}, values.data()));
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i], i < 4 * prompt.size() ? static_cast<float>(prompt[0]) : 0.0f)
          << prompt << " value " << i;
    }
  }

  Log log_;
};

TEST_F(PromptCacheTest, EncodesEachPromptOnce) {
  const auto prompts = cache(EncoderResidency::keep);
  EXPECT_EQ(log_.made, 0) << "loaded before it was needed";
  for (const char* prompt : {"ab", "xyz", "ab", "", "ab", "xyz", ""}) {
    expect_embedded(*prompts, prompt);
  }
  EXPECT_EQ(log_.encoded, 3);
  const PromptCacheStats stats = prompts->stats();
  EXPECT_EQ(stats.misses, 3u);
  EXPECT_EQ(stats.hits, 4u);
  EXPECT_EQ(stats.loads, 1u);
  EXPECT_EQ(stats.prompts, 3u);
  EXPECT_EQ(stats.bytes, (2u + 3u) * 4 * sizeof(float)) << "only rows that are not zero";
  EXPECT_EQ(log_.alive, 1);
}

TEST_F(PromptCacheTest, ReleasesTheEncoderAfterUse) {
  const auto prompts = cache(EncoderResidency::release);
  expect_embedded(*prompts, "a");
  EXPECT_EQ(log_.alive, 0);
  expect_embedded(*prompts, "a");
  EXPECT_EQ(log_.made, 1);
  expect_embedded(*prompts, "b");
  EXPECT_EQ(log_.made, 2);
  EXPECT_EQ(log_.alive, 0);
  EXPECT_EQ(prompts->stats().loads, 2u);
}

TEST_F(PromptCacheTest, DropsTheLongestUnused) {
  // Room for four rows.
  const auto prompts = cache(EncoderResidency::keep, 4 * 4 * sizeof(float));
  for (const char* prompt : {"aa", "bb", "aa", "cc"}) expect_embedded(*prompts, prompt);
  EXPECT_TRUE(prompts->ready("aa"));
  EXPECT_FALSE(prompts->ready("bb"));
  EXPECT_TRUE(prompts->ready("cc"));
  EXPECT_EQ(prompts->stats().evictions, 1u);
  // One that is larger than all the room is used once and kept alone.
  expect_embedded(*prompts, "dddddd");
  EXPECT_EQ(prompts->stats().prompts, 1u);
  EXPECT_TRUE(prompts->ready("dddddd"));
}

TEST_F(PromptCacheTest, AFailureIsNotRemembered) {
  const auto prompts = cache(EncoderResidency::release);
  for (int turn = 0; turn < 2; ++turn) {
    expect_contains(error_of([&] { prompts->prepare("bad"); }), "a good one");
    EXPECT_FALSE(prompts->ready("bad"));
    EXPECT_EQ(log_.alive, 0);
  }
  expect_embedded(*prompts, "good");
}

TEST_F(PromptCacheTest, OneLoadServesAllThatWait) {
  const auto prompts = cache(EncoderResidency::release);
  log_.hold = true;
  std::vector<std::future<void>> waiting;
  for (const char* prompt : {"a", "b", "a", "c"}) {
    waiting.push_back(std::async(std::launch::async, [&, prompt] { prompts->prepare(prompt); }));
    // Each is inside of, or behind, the encoder before the next one comes.
    std::unique_lock<std::mutex> lock(log_.mutex);
    log_.changed.wait(lock, [&] { return log_.encoded >= 1; });
  }
  // Whoever holds the encoder keeps nobody from prompts that are there.
  EXPECT_FALSE(prompts->ready("a"));
  {
    const std::lock_guard<std::mutex> lock(log_.mutex);
    log_.hold = false;
    log_.changed.notify_all();
  }
  for (auto& one : waiting) one.get();
  for (const char* prompt : {"a", "b", "c"}) expect_embedded(*prompts, prompt);
  EXPECT_EQ(log_.encoded, 3);
  EXPECT_EQ(log_.alive, 0);
}

TEST_F(PromptCacheTest, KnownPromptsDoNotWaitForNewOnes) {
  const auto prompts = cache(EncoderResidency::keep);
  prompts->prepare("known");
  log_.hold = true;
  auto slow = std::async(std::launch::async, [&] { prompts->prepare("new"); });
  {
    std::unique_lock<std::mutex> lock(log_.mutex);
    log_.changed.wait(lock, [&] { return log_.encoded == 2; });
  }
  expect_embedded(*prompts, "known");  // would never return if it waited
  {
    const std::lock_guard<std::mutex> lock(log_.mutex);
    log_.hold = false;
    log_.changed.notify_all();
  }
  slow.get();
  EXPECT_TRUE(prompts->ready("new"));
}

}  // namespace
}  // namespace driftless
