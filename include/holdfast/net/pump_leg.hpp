#pragma once
// A leg as a pump thread keeps it, in 16 bytes: a plain one is its descriptor, by value; any other stays
// behind its pointer. Ten thousands of them lie in their sessions: a block for each among a setup thread's
// short-lived ones cost 170 bytes a session, and a cache line and a virtual call for each message.
//
// Thread: one at a time, as `Leg`, whose functions these are.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "holdfast/net/leg.hpp"

namespace holdfast::net {

class PumpLeg {
 public:
  PumpLeg() = default;  ///< none
  /// A plain leg that `make_plain_leg` has made gives its connection up to this one.
  explicit PumpLeg(std::unique_ptr<Leg> leg) noexcept;
  PumpLeg(PumpLeg&& other) noexcept
      : place_(std::exchange(other.place_, nullptr)),
        descriptor_(std::exchange(other.descriptor_, no_descriptor)),
        write_flags_(other.write_flags_),
        read_limit_(other.read_limit_) {}
  PumpLeg& operator=(PumpLeg&& other) noexcept {
    if (this == &other) return *this;
    reset();
    place_ = std::exchange(other.place_, nullptr);
    descriptor_ = std::exchange(other.descriptor_, no_descriptor);
    write_flags_ = other.write_flags_;
    read_limit_ = other.read_limit_;
    return *this;
  }
  ~PumpLeg() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return is_plain() || place_ != nullptr; }
  /// As the destructor of a leg.
  void reset() noexcept;
  /// Who it is, where it is not kept by value: else null.
  [[nodiscard]] const Leg* other() const noexcept {
    return is_plain() ? nullptr : static_cast<const Leg*>(place_);
  }

  [[nodiscard]] IoResult read(std::span<std::byte> into) noexcept;
  [[nodiscard]] IoResult write(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] bool is_bare() const noexcept { return is_plain() || leg().is_bare(); }
  void cork() noexcept;
  void uncork() noexcept;
  void finish_writing() noexcept;
  void finish_before_end() noexcept;
  [[nodiscard]] IoState discard() noexcept;
  [[nodiscard]] Liveness liveness() const noexcept;
  void abort() noexcept;
  [[nodiscard]] bool has_read_ahead() const noexcept { return !is_plain() && leg().has_read_ahead(); }
  void limit_reads(std::size_t bytes) noexcept;
  void use_scratch(CipherScratch& scratch) noexcept;

 private:
  friend class Loop;
  static constexpr std::int32_t no_descriptor = -1;
  [[nodiscard]] bool is_plain() const noexcept { return descriptor_ != no_descriptor; }
  [[nodiscard]] int descriptor() const noexcept;

  [[nodiscard]] Leg& leg() const noexcept { return *static_cast<Leg*>(place_); }

  void* place_ = nullptr;  ///< the leg, owned; of a plain one its DescriptorBudget. Null = none
  std::int32_t descriptor_ = no_descriptor;  ///< of a plain one
  std::uint16_t write_flags_ = 0;
  std::uint16_t read_limit_ = 0;
};
static_assert(sizeof(PumpLeg) == 16);

}  // namespace holdfast::net
