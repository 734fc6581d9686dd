#pragma once
// What a listener knows of its clients' addresses: how many connections each has and how fast it comes. IPv6
// addresses count by /64, which is what one customer has.
//
// Threads: any. Sixteen shards with a mutex each, held for less than a microsecond. Bounded: addresses with
// connections are as many as there are descriptors; of the others the latest 65,536 are remembered, and only
// until they are as good as new. Sans-io. Lives as long as the process; places must not outlive it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/meter.hpp"
#include "holdfast/config/address.hpp"

namespace holdfast::session {

class AddressTable {
 public:
  using Key = std::uint64_t;
  /// Nothing for what is no IP address.
  [[nodiscard]] static std::optional<Key> key_of(const config::SocketAddress& address) noexcept;

  struct Rules {
    std::uint64_t max_connections = 0;  ///< 0 = no limit
    Rate rate;                          ///< of new connections

    [[nodiscard]] bool are_off() const noexcept { return max_connections == 0 && !rate.is_limit(); }
  };

  static constexpr std::size_t shard_count = 16;
  static constexpr std::size_t most_idle = 65'536;
  /// How often an address is told that it is over a limit; beyond that it is not worth an answer.
  static constexpr Rate answers{10, 20};

 private:
  struct Shard;
  struct Entry;
  using Entries = std::list<Entry>;

 public:
  /// One connection of an address, until its end; move-only.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~Place() {
      if (entry_ != nullptr) leave();
    }

   private:
    friend class AddressTable;
    explicit Place(Entry& entry) noexcept : entry_(&entry) {}
    void leave() noexcept;
    Entry* entry_ = nullptr;
  };

  enum class Verdict : std::uint8_t { welcome, too_many, too_fast };
  struct Answer {
    Verdict verdict = Verdict::welcome;
    bool may_be_told = true;    ///< `answers` allow to say so
    std::uint32_t wait_ms = 0;  ///< too_fast: until the next one is welcome
    Place place;                ///< if welcome
  };
  /// A connection has come. Welcome or not, it is counted for what it was judged by.
  [[nodiscard]] Answer enter(Key key, const Rules& rules, Tick now);

  /// How many addresses are remembered; those that need not be are forgotten on the way.
  [[nodiscard]] std::size_t count(const Rules& rules, Tick now) noexcept;

  AddressTable();
  ~AddressTable();
  AddressTable(const AddressTable&) = delete;
  AddressTable& operator=(const AddressTable&) = delete;

 private:
  struct Entry {
    Shard* shard;
    Key key;
    std::uint64_t connections = 0;
    Meter rate;
    Meter told;
    Entries::iterator self;  ///< where it is: in `busy` with connections, else in `idle`
  };
  struct Hash {
    std::uint64_t seed;  ///< random, so that nobody can choose addresses that collide
    [[nodiscard]] std::size_t operator()(Key key) const noexcept;
  };
  struct Shard {
    explicit Shard(Hash hash) : index(16, hash) {}
    [[nodiscard]] Entry& find_or_make(Key key);
    void forget_good_ones(const Rules& rules, Tick now, std::size_t most) noexcept;
    void forget_oldest() noexcept;

    std::mutex mutex;
    Entries busy;
    Entries idle;  ///< the latest comes last
    std::unordered_map<Key, Entry*, Hash> index;
  };
  [[nodiscard]] Shard& shard_of(Key key) noexcept;

  Hash hash_;
  std::list<Shard> shards_;
  std::array<Shard*, shard_count> by_number_{};
};

}  // namespace holdfast::session
