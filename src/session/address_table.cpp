#include "holdfast/session/address_table.hpp"

#include <netinet/in.h>

#include <cstring>
#include <random>

namespace holdfast::session {

namespace {
// Two are forgotten for one that comes, so that the table shrinks as long as anybody comes.
constexpr std::size_t forgotten_per_visit = 2;
// 0:1::/32 is reserved by the IETF: no IPv6 network can be taken for an IPv4 address.
constexpr AddressTable::Key ipv4_mark = 1ULL << 32U;
}  // namespace

std::optional<AddressTable::Key> AddressTable::key_of(const config::SocketAddress& address) noexcept {
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    return ipv4_mark | ntohl(v4.sin_addr.s_addr);
  }
  if (address.family() != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address.storage, sizeof v6);
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) != 0;
  const std::size_t begin = mapped ? 12 : 0;
  const std::size_t size = mapped ? 4 : 8;
  Key key = 0;
  for (std::size_t n = 0; n < size; ++n) key = key << 8U | v6.sin6_addr.s6_addr[begin + n];
  return mapped ? ipv4_mark | key : key;
}

// The finalizer of splitmix64.
std::size_t AddressTable::Hash::operator()(Key key) const noexcept {
  std::uint64_t mixed = key ^ seed;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31U);
}

AddressTable::AddressTable()
    : hash_{[] {
        std::random_device device;
        return static_cast<std::uint64_t>(device()) << 32U | device();
      }()} {
  for (Shard*& each : by_number_) each = &shards_.emplace_back(hash_);
}

AddressTable::~AddressTable() = default;

// Other bits than those that choose the bucket.
AddressTable::Shard& AddressTable::shard_of(Key key) noexcept {
  return *by_number_[(hash_(key) >> 48U) % shard_count];
}

AddressTable::Entry& AddressTable::Shard::find_or_make(Key key) {
  const auto found = index.find(key);
  if (found != index.end()) return *found->second;
  idle.push_back({this, key, 0, {}, {}, {}});
  Entry& made = idle.back();
  made.self = std::prev(idle.end());
  try {
    index.emplace(key, &made);
  } catch (...) {
    idle.pop_back();
    throw;
  }
  return made;
}

void AddressTable::Shard::forget_oldest() noexcept {
  index.erase(idle.front().key);
  idle.pop_front();
}

void AddressTable::Shard::forget_good_ones(const Rules& rules, Tick now, std::size_t most) noexcept {
  for (std::size_t n = 0; n < most && !idle.empty(); ++n) {
    Entry& oldest = idle.front();
    if (!oldest.rate.is_empty(rules.rate, now) || !oldest.told.is_empty(answers, now)) return;
    forget_oldest();
  }
}

AddressTable::Answer AddressTable::enter(Key key, const Rules& rules, Tick now) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  shard.forget_good_ones(rules, now, forgotten_per_visit);
  Entry& entry = shard.find_or_make(key);
  Answer answer;
  if (rules.max_connections != 0 && entry.connections >= rules.max_connections) {
    answer.verdict = Verdict::too_many;
  } else if (!entry.rate.take(rules.rate, now)) {
    answer.verdict = Verdict::too_fast;
    answer.wait_ms = entry.rate.wait_ms(rules.rate, now);
  }
  if (answer.verdict == Verdict::welcome) {
    if (entry.connections++ == 0) shard.busy.splice(shard.busy.end(), shard.idle, entry.self);
    answer.place = Place(entry);
    return answer;
  }
  answer.may_be_told = entry.told.take(answers, now);
  if (entry.connections == 0) shard.idle.splice(shard.idle.end(), shard.idle, entry.self);
  if (shard.idle.size() > most_idle / shard_count) shard.forget_oldest();
  return answer;
}

void AddressTable::Place::leave() noexcept {
  Shard& shard = *entry_->shard;
  const std::lock_guard lock(shard.mutex);
  if (--entry_->connections > 0) return;
  shard.idle.splice(shard.idle.end(), shard.busy, entry_->self);
  if (shard.idle.size() > most_idle / shard_count) shard.forget_oldest();
}

std::size_t AddressTable::count(const Rules& rules, Tick now) noexcept {
  std::size_t all = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.forget_good_ones(rules, now, shard.idle.size());
    all += shard.index.size();
  }
  return all;
}

}  // namespace holdfast::session
