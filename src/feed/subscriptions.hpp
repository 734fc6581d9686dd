#pragma once
// A subscriber's subscriptions, each with a number. Most subscribers have one, which lives in here; further
// ones move all to a block of their own.
//
// Thread: the subscriber's. A reference into it holds until the next one is added.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "feed/channel.hpp"

namespace holdfast::feed {

class Subscriptions {
 public:
  /// The caller gives it its channel before anything else happens.
  Subscription& emplace_back() {
    if (several_ == nullptr) {
      if (one_.channel == nullptr) return one_;
      several_ = std::make_unique<std::vector<Subscription>>(1, one_);
    }
    return several_->emplace_back();
  }
  void clear() noexcept {
    one_ = {};
    several_.reset();
  }

  [[nodiscard]] std::span<Subscription> all() noexcept { return {first(), size()}; }
  [[nodiscard]] std::span<const Subscription> all() const noexcept { return {first(), size()}; }
  [[nodiscard]] std::size_t size() const noexcept {
    if (several_ != nullptr) return several_->size();
    return one_.channel == nullptr ? 0 : 1;
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] Subscription& operator[](std::size_t number) noexcept { return first()[number]; }
  [[nodiscard]] const Subscription& operator[](std::size_t number) const noexcept { return first()[number]; }
  [[nodiscard]] Subscription& front() noexcept { return *first(); }
  [[nodiscard]] Subscription* begin() noexcept { return first(); }
  [[nodiscard]] Subscription* end() noexcept { return first() + size(); }
  [[nodiscard]] const Subscription* begin() const noexcept { return first(); }
  [[nodiscard]] const Subscription* end() const noexcept { return first() + size(); }

 private:
  [[nodiscard]] Subscription* first() noexcept { return several_ == nullptr ? &one_ : several_->data(); }
  [[nodiscard]] const Subscription* first() const noexcept {
    return several_ == nullptr ? &one_ : several_->data();
  }

  std::unique_ptr<std::vector<Subscription>> several_;  ///< null: there is `one_`, or none
  Subscription one_;                                    ///< without a channel: none
};

}  // namespace holdfast::feed
