// What a pick knows of backends. Pure values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>

namespace holdfast::balance {

enum class Policy : std::uint8_t { least_connections, round_robin, two_choices, random, hash };

// Backups get sessions only when no primary is eligible.
enum class Rank : std::uint8_t { primary, backup };
// Whether a backend is in this proxy's zone; `own` for all where zones play no role.
enum class Zone : std::uint8_t { own, other };

// What is fixed for as long as a set of backends is: the index in the set is the member's name from here on.
struct Member {
  std::uint64_t identity = 0;  // hash of what identifies it, the same in every proxy and after a restart
  std::uint32_t weight = 1;    // its share of a hash policy's keys; the other policies go by View::weight
  Rank rank = Rank::primary;
  Zone zone = Zone::own;
};

// One backend at the moment of a pick.
struct View {
  std::uint32_t sessions = 0;  // those being set up included
  std::uint32_t weight = 1;    // share of sessions relative to the others; 0 = gets nothing
  bool eligible = true;        // healthy, not ejected, active
  bool full = false;           // has all the sessions it may have
  std::uint8_t ramp = 100;     // percent of its weight that counts (ramp.hpp); 1..100
};

// Looks at one member now. Large sets are not looked at as a whole where a policy can do without.
class Field {
 public:
  [[nodiscard]] virtual View look(std::size_t member) const = 0;

 protected:
  ~Field() = default;
};

using Rng = std::mt19937_64;

// Spreads the bits of a number over all of its bits (the finalizer of SplitMix64).
[[nodiscard]] constexpr std::uint64_t mixed(std::uint64_t bits) noexcept {
  bits += 0x9e3779b97f4a7c15ULL;
  bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31U);
}

// Of an identity or a key: the same in every process and version, else sessions would move at an update.
[[nodiscard]] constexpr std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mixed(hash);
}

}  // namespace holdfast::balance
