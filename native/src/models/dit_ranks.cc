#include "models/dit_ranks.h"

#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "core/error.h"

namespace driftless {

// A block that changes its rank. `up`: from the later rank to the earlier one, which goes on
// without it and waits for it only at the end of its next forward.
struct DitRanks::HandOver {
  int64_t layer = 0;
  size_t from = 0, to = 0;  // ranks
  std::promise<std::unique_ptr<DitBlock>> block;
};

// What passes the ranks one after another: a forward, a prompt, or a block that moves.
struct DitRanks::Flight {
  // Tensors in the memory of one rank, and how far it is.
  struct Place {
    explicit Place(const Ops& ops)
        : memory(64, 0, ops.memory()),
          began(ops.make_mark()),
          paused(ops.make_mark()),
          resumed(ops.make_mark()),
          ended(ops.make_mark()),
          handed_on(ops.make_mark()) {}

    // Of a forward or a prompt that has passed, milliseconds that the device had it.
    double busy_ms() const {
      const double pause_ms = has_paused ? resumed->ms_since(*paused) : 0;
      return ended->ms_since(*began) - pause_ms;
    }

    Arena memory;
    size_t bytes = 0;
    Tensor x, e0, before;  // before: of a forward of several rows, see DitBlocks::run_as_fits()
    std::unique_ptr<Mark> began, paused, resumed, ended, handed_on;
    bool has_paused = false;  // for a block
  };

  std::vector<DitRow> rows;
  DitTokens tokens;               // of a forward; its tensors are those of each rank's place
  std::unique_ptr<Mark> boarded;  // x and e0 are in the first rank's memory
  std::vector<Place> ranks;       // by rank
  std::vector<double> busy_ms;
  const PromptKv* prompt = nullptr;  // present in a prompt's flight, whose x is the context
  std::shared_ptr<HandOver> hand_over;
  std::exception_ptr error;

  bool is_forward() const { return prompt == nullptr && hand_over == nullptr; }
};

class DitRanks::Rank {
 public:
  Rank(const DitConfig& config, std::unique_ptr<Ops> ops, LayerPlaces& places, size_t number,
       int64_t first)
      : ops_(std::move(ops)), places_(places), number_(number), blocks_(config, *ops_, first) {}

  void take(WeightSource& weights, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      places_.move(blocks_.end(), *ops_);
      blocks_.take(weights);
    }
  }

  void start(Links& links, Queue& in, Queue& out) {
    links_ = &links;
    thread_ = std::thread([this, &in, &out] { run(in, out); });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  LibraryUse prepare(int64_t tokens, int64_t keys) { return blocks_.prepare(tokens, keys); }

  Ops& ops() const { return *ops_; }
  size_t block_bytes() const { return blocks_.block_bytes(); }

 private:
  void run(Queue& in, Queue& out) {
    while (Flight* flight = in.pop()) {
      if (flight->hand_over != nullptr) {
        change_blocks(flight->hand_over);
      } else if (!flight->error) {
        try {
          if (broken_) std::rethrow_exception(broken_);
          work(*flight);
        } catch (...) {
          flight->error = std::current_exception();
          settle();
        }
      }
      out.push(flight);
    }
    out.push(nullptr);
  }

  // The flight's memory is free for others when nobody goes on with it.
  void settle() const {
    try {
      ops_->wait();
    } catch (...) {
      // A lost device, which shows in all that follows.
    }
  }

  void work(Flight& flight) {
    Flight::Place& here = flight.ranks[number_];
    if (number_ == 0) {
      ops_->follow(*flight.boarded);
    } else {
      Flight::Place& before = flight.ranks[number_ - 1];
      links_->receive(number_ - 1, {{before.x, here.x}, {before.e0, here.e0}}, *before.handed_on);
    }
    here.began->set();
    pass_blocks(flight, here, blocks_.first());
    // The block that comes from the rank below is this rank's last.
    here.has_paused = awaited_ != nullptr;
    if (awaited_) {
      here.paused->set();
      const int64_t from = blocks_.end();
      take_over(*std::exchange(awaited_, nullptr));
      if (broken_) std::rethrow_exception(broken_);
      here.resumed->set();
      pass_blocks(flight, here, from);
    }
    here.ended->set();
    if (number_ + 1 == flight.ranks.size()) return;
    const Flight::Place& next = flight.ranks[number_ + 1];
    links_->send(number_, {{here.x, next.x}, {here.e0, next.e0}}, *here.handed_on);
  }

  void pass_blocks(Flight& flight, const Flight::Place& here, int64_t from) {
    if (flight.prompt != nullptr) {
      blocks_.encode_prompt(here.x, *flight.prompt, from);
    } else {
      DitTokens tokens = flight.tokens;
      tokens.x = here.x;
      tokens.e0 = here.e0;
      blocks_.run_as_fits(tokens, here.before, from);
    }
  }

  void change_blocks(const std::shared_ptr<HandOver>& hand_over) {
    const bool gives = hand_over->from == number_, takes = hand_over->to == number_;
    if ((gives || takes) && awaited_) take_over(*std::exchange(awaited_, nullptr));
    if (gives && broken_) {
      hand_over->block.set_exception(broken_);
    } else if (gives) {
      settle();  // Before others move what its device may still use.
      const bool last = hand_over->to > number_;
      hand_over->block.set_value(last ? blocks_.give_last() : blocks_.give_first());
    } else if (takes && hand_over->from < number_) {
      take_over(*hand_over);
    } else if (takes) {
      awaited_ = hand_over;
    }
  }

  void take_over(HandOver& hand_over) {
    try {
      std::unique_ptr<DitBlock> block = hand_over.block.get_future().get();
      places_.move(hand_over.layer, *ops_);
      if (hand_over.from < number_) {
        blocks_.put_first(std::move(block));
      } else {
        blocks_.put_last(std::move(block));
      }
    } catch (const std::exception& error) {
      // The block is nobody's now.
      broken_ = std::make_exception_ptr(
          DeviceLost("rank " + std::to_string(number_), "room for one more block", error.what()));
    }
  }

  const std::unique_ptr<Ops> ops_;
  LayerPlaces& places_;
  const size_t number_;
  Links* links_ = nullptr;
  DitBlocks blocks_;
  std::shared_ptr<HandOver> awaited_;
  std::exception_ptr broken_;
  std::thread thread_;
};

DitRanks::DitRanks(const DitConfig& config, WeightSource& weights,
                   std::vector<std::unique_ptr<Ops>> ops, Ops& home, LayerPlaces& places)
    : home_(home), places_(places), balance_(ops.size()) {
  const auto count = static_cast<int64_t>(ops.size());
  DL_CHECK(count <= config.layers, "ranks",
           "at most one for each of the model's " + std::to_string(config.layers) + " blocks",
           count);
  // Tokens and blocks go up and down, in at the first and out at the last.
  for (size_t r = 0; r + 1 < ops.size(); ++r) {
    ops[r]->connect(*ops[r + 1]);
    ops[r + 1]->connect(*ops[r]);
  }
  home.connect(*ops.front());
  home.connect(*ops.back());
  queues_.push_back(std::make_unique<Queue>());
  for (int64_t r = 0; r < count; ++r) {
    const int64_t first = config.layers * r / count, end = config.layers * (r + 1) / count;
    const auto number = static_cast<size_t>(r);
    ranks_.push_back(std::make_unique<Rank>(config, std::move(ops[number]), places, number, first));
    ranks_.back()->take(weights, end - first);
    shares_.push_back(end - first);
    queues_.push_back(std::make_unique<Queue>());
  }
  block_bytes_ = ranks_.front()->block_bytes();
  std::vector<Ops*> pipeline;
  for (const auto& rank : ranks_) pipeline.push_back(&rank->ops());
  links_ = pipeline.front()->make_links(pipeline);
  for (size_t r = 0; r < ranks_.size(); ++r) {
    ranks_[r]->start(*links_, *queues_[r], *queues_[r + 1]);
  }
  landings_ = std::thread([this] { await_landings(); });
}

DitRanks::~DitRanks() {
  queues_.front()->push(nullptr);
  for (const auto& rank : ranks_) rank->join();
  landings_.join();
}

// In the order of the flights; the ranks go on meanwhile.
void DitRanks::await_landings() {
  while (Flight* flight = queues_.back()->pop()) {
    if (flight->hand_over == nullptr && !flight->error) {
      try {
        flight->ranks.back().ended->wait();
        std::transform(flight->ranks.begin(), flight->ranks.end(), flight->busy_ms.begin(),
                       [](const Flight::Place& place) { return place.busy_ms(); });
      } catch (...) {
        flight->error = std::current_exception();
      }
    }
    landed_.push(flight);
  }
}

// One that nothing is known of; those under way are as many as the callers make.
DitRanks::Flight& DitRanks::take_flight() {
  if (free_.empty()) {
    flights_.push_back(std::make_unique<Flight>());
    Flight& flight = *flights_.back();
    flight.busy_ms.resize(ranks_.size());
    flight.boarded = home_.make_mark();
    for (const auto& rank : ranks_) flight.ranks.emplace_back(rank->ops());
    free_.reserve(flights_.size());
    free_.push_back(&flight);
  }
  Flight& flight = *free_.back();
  free_.pop_back();
  flight.tokens = {};
  flight.prompt = nullptr;
  flight.hand_over = nullptr;
  flight.error = nullptr;
  return flight;
}

void DitRanks::land(Flight& flight) {
  if (flight.prompt != nullptr && flight.error) prompt_error_ = flight.error;
  flight.hand_over = nullptr;
  free_.push_back(&flight);
}

// Tensors of each rank in the shapes of these, whose e0 may be absent.
void DitRanks::take_room(Flight& flight, const DitTokens& tokens) {
  for (size_t r = 0; r < ranks_.size(); ++r) {
    Flight::Place& place = flight.ranks[r];
    const size_t copies = tokens.count > 1 ? 2 : 1;
    const size_t bytes =
        copies * Arena::rounded(tokens.x.bytes()) + Arena::rounded(tokens.e0.bytes());
    if (bytes > place.bytes) {
      place.bytes = 0;
      place.memory = Arena(64, 0, ranks_[r]->ops().memory());  // before the larger one is taken
      place.memory = Arena(bytes, 0, ranks_[r]->ops().memory());
    }
    place.memory.reset();
    place.x = place.memory.tensor(tokens.x.shape());
    place.e0 = tokens.e0.present() ? place.memory.tensor(tokens.e0.shape()) : Tensor();
    place.before = copies == 2 ? place.memory.tensor(tokens.x.shape()) : Tensor();
    place.bytes = std::max(place.bytes, bytes);
  }
}

// Copies the tokens to the first rank, or gives the flight back and throws.
void DitRanks::board(Flight& flight, const DitTokens& tokens) {
  try {
    take_room(flight, tokens);
    home_.copy(tokens.x, flight.ranks.front().x);
    if (tokens.e0.present()) home_.copy(tokens.e0, flight.ranks.front().e0);
    flight.boarded->set();
  } catch (...) {
    land(flight);
    throw;
  }
}

void DitRanks::start(const DitTokens& tokens) {
  Flight& flight = take_flight();
  board(flight, tokens);
  flight.rows.assign(tokens.rows, tokens.rows + tokens.count);
  flight.tokens = tokens;
  flight.tokens.rows = flight.rows.data();
  queues_.front()->push(&flight);
}

void DitRanks::encode_prompt(const Tensor& context, const PromptKv& prompt) {
  Flight& flight = take_flight();
  DitTokens tokens;
  tokens.x = context;
  board(flight, tokens);
  flight.prompt = &prompt;
  queues_.front()->push(&flight);
}

bool DitRanks::ready() const { return landed_.holds_forward(); }

void DitRanks::on_ready(std::function<void()> listener) {
  landed_.set_listener(std::move(listener));
}

void DitRanks::finish(const Tensor& x) {
  Flight* flight = landed_.pop();
  for (; !flight->is_forward(); flight = landed_.pop()) land(*flight);
  const std::exception_ptr error =
      flight->error ? flight->error : std::exchange(prompt_error_, nullptr);
  // Another forward is written there after what is copied to the ranks from here on.
  if (!error) home_.copy(flight->ranks.back().x, x);
  busiest_ms_ = *std::max_element(flight->busy_ms.begin(), flight->busy_ms.end());
  land(*flight);
  if (error) std::rethrow_exception(error);
  if (keeps_balance_) rebalance(flight->busy_ms);
}

void DitRanks::rebalance(const std::vector<double>& busy_ms) {
  balance_.observe(busy_ms);
  const int under_way = static_cast<int>(flights_.size() - free_.size());
  const std::vector<int64_t> wanted = balance_.wanted(shares_, under_way);
  // From boundary to boundary until each has the blocks before it that it should have. A move that
  // would take a rank's last block waits until it has been given others.
  for (bool moved = true; moved;) {
    moved = false;
    int64_t before = 0, wanted_before = 0;
    for (size_t r = 0; r + 1 < ranks_.size(); ++r) {
      before += shares_[r];
      wanted_before += wanted[r];
      const int direction = wanted_before > before ? 1 : wanted_before < before ? -1 : 0;
      if (direction == 0 || shares_[direction > 0 ? r + 1 : r] < 2) continue;
      if (!move_if_room(r, direction)) return;
      before += direction;
      moved = true;
    }
  }
}

bool DitRanks::move_if_room(size_t rank, int direction) {
  const MemorySource& above = ranks_[rank]->ops().memory();
  const MemorySource& below = ranks_[rank + 1]->ops().memory();
  // Others take memory meanwhile, and there is no way back for a block that has no place.
  const size_t needed = 2 * (block_bytes_ + places_.bytes_of_layer());
  if (&above != &below && (direction > 0 ? above : below).left() < needed) return false;
  move_boundary(rank, direction);
  return true;
}

LibraryUse DitRanks::prepare(int64_t tokens, int64_t keys) {
  LibraryUse use;
  for (const auto& rank : ranks_) use = rank->prepare(tokens, keys);
  return use;
}

void DitRanks::rest() {
  for (Flight* flight : landed_.sift(flights_.size() - free_.size())) land(*flight);
  if (prompt_error_) std::rethrow_exception(std::exchange(prompt_error_, nullptr));
}

void DitRanks::move_boundary(size_t rank, int direction) {
  DL_CHECK(rank + 1 < ranks_.size(), "boundary",
           "one of " + std::to_string(ranks_.size() - 1) + " between ranks", rank);
  auto hand_over = std::make_shared<HandOver>();
  hand_over->from = direction > 0 ? rank + 1 : rank;
  hand_over->to = direction > 0 ? rank : rank + 1;
  if (shares_[hand_over->from] < 2)
    throw Error("boundary", "a rank that keeps a block", "its last");
  for (size_t r = 0; r <= rank; ++r) hand_over->layer += shares_[r];
  if (direction < 0) --hand_over->layer;
  --shares_[hand_over->from];
  ++shares_[hand_over->to];
  Flight& flight = take_flight();
  flight.hand_over = std::move(hand_over);
  queues_.front()->push(&flight);
}

}  // namespace driftless
