#pragma once

// The transformer's blocks split over several devices as a pipeline: each rank has a device, a
// thread and consecutive blocks, and hands the tokens of a forward on to the next. Several forwards
// are under way at once, each at another rank. Keys and values never leave the rank of their block,
// and forwards pass every rank in the order in which they were begun, so the result is the same to
// the bit as with one device.
//
// A rank's thread only starts work: devices wait for each other by themselves (Ops::follow()), and
// have the next forward before they are done with this one. One more thread waits for the last.
//
// Where another split would be faster (rank_balance.h), blocks move to the next rank. Nobody stops
// for it: a block travels between two forwards, and who needs it waits for it alone. A device
// without room for it keeps what it has.

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "models/dit_blocks.h"
#include "models/flight_queue.h"
#include "models/rank_balance.h"

namespace driftless {

class DitRanks {
 public:
  // One rank for each of `ops`, each with a share of the blocks, in order. `home`: the operations
  // of who begins and finishes forwards, on whose thread. They and `places` must outlive it.
  DitRanks(const DitConfig& config, WeightSource& weights, std::vector<std::unique_ptr<Ops>> ops,
           Ops& home, LayerPlaces& places);
  // Waits for what is under way.
  ~DitRanks();

  // Begins a forward: x [tokens, dim] and e0 [frames, 6 * dim] as in DitTokens, in the memory of
  // `home`; copied, like the rows. What rows point to must stay until finish().
  void start(const DitTokens& tokens);
  // Waits for the oldest forward that was begun and brings its x back. Rethrows what a rank threw.
  void finish(const Tensor& x);
  // Whether finish() would not wait; and what another thread calls when that may have
  // changed. It may call ready(); the one before is not called any more when on_ready() returns.
  bool ready() const;
  void on_ready(std::function<void()> listener);
  // Of the forward that was finished last, milliseconds that the busiest rank had it.
  double busiest_ms() const { return busiest_ms_; }

  // context [text_len, dim] in the memory of `home`; copied. Every forward begun after it sees the
  // prompt, which must stay until then or until rest().
  void encode_prompt(const Tensor& context, const PromptKv& prompt);

  // DitBlocks::prepare() on every rank. Nothing may be under way.
  LibraryUse prepare(int64_t tokens, int64_t keys);

  // Waits until all that was begun has passed all ranks. Rethrows what a prompt's encoding threw.
  void rest();

  size_t count() const { return ranks_.size(); }
  // Blocks of each rank, as they will be once all that was begun has passed.
  const std::vector<int64_t>& shares() const { return shares_; }
  // Whether blocks move by themselves; they do from the beginning.
  void keep_balance(bool keep) { keeps_balance_ = keep; }
  // Moves the boundary after rank `rank` down by one block (+1) or up (-1); each rank keeps one.
  void move_boundary(size_t rank, int direction);
  // The same where the device that gets the block has room for it; else false, and nothing changes.
  bool move_if_room(size_t rank, int direction);

 private:
  struct Flight;
  struct HandOver;
  class Rank;
  using Queue = FlightQueue<Flight>;

  Flight& take_flight();
  void take_room(Flight& flight, const DitTokens& tokens);
  void board(Flight& flight, const DitTokens& tokens);
  void await_landings();
  void land(Flight& flight);
  void rebalance(const std::vector<double>& busy_ms);

  Ops& home_;
  LayerPlaces& places_;
  size_t block_bytes_ = 0;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::unique_ptr<Links> links_;                // between the ranks' operations
  std::vector<std::unique_ptr<Queue>> queues_;  // before each rank, and after the last
  Queue landed_;                                // whose device is done
  std::thread landings_;
  std::vector<std::unique_ptr<Flight>> flights_;
  std::vector<Flight*> free_;
  std::vector<int64_t> shares_;
  std::exception_ptr prompt_error_;
  double busiest_ms_ = 0;
  RankBalance balance_;
  bool keeps_balance_ = true;
};

}  // namespace driftless
