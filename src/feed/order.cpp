#include "feed/order.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::feed {

Order::Held::Held(std::size_t from, std::uint64_t of, bool numbered, const Writer::Message& message)
    : slot(from),
      what(of),
      has_number(numbered),
      like_(message),
      payload_(message.payload.begin(), message.payload.end()),
      slice_(message.slice.begin(), message.slice.end()) {}

Writer::Message Order::Held::message() const {
  Writer::Message message = like_;
  message.payload = payload_;
  message.slice = slice_;
  return message;
}

void Order::begin(std::size_t slot, bool is_alone) {
  end(slot);
  if (!is_alone) return;
  last_.reset();
  last_slot_ = nobody;
  in_step_ = 0;
  note_in_step(slot);
}

void Order::end(std::size_t slot) {
  in_step_ &= ~(1U << slot);
  if (last_slot_ == slot) last_slot_ = nobody;
}

Order::Verdict Order::take(std::size_t slot, std::optional<std::uint64_t> first, std::uint64_t last,
                           bool several) {
  const bool follows = last_ && first && *first <= *last_ + 1;
  if (!several || follows || in_step_ == 0) note_in_step(slot);
  // Who has brought the latest one itself may count as it likes.
  const bool was_here = several && last_ && last <= *last_ && slot != last_slot_;
  if (was_here) {
    note_in_step(slot);
    return Verdict::is_double;
  }
  if (!is_in_step(slot)) return Verdict::waits;
  last_ = last;
  last_slot_ = slot;
  return Verdict::goes;
}

Order::Verdict Order::take(std::size_t slot, std::uint64_t hash, bool is_first) {
  if (in_step_ == 0) note_in_step(slot);
  if (is_first) return is_in_step(slot) ? Verdict::goes : Verdict::waits;
  // What waits since another connection was ahead: this one has come to it.
  for (const Held& each : held_) {
    if (each.slot != slot && each.what == hash) note_in_step(each.slot);
  }
  // And what of its own has waited came before that.
  std::erase_if(held_, [&](const Held& each) { return each.slot == slot && !each.has_number; });
  note_in_step(slot);
  return Verdict::is_double;
}

void Order::hold(Held held) {
  held_bytes_ += held.message().payload.size() + held.message().slice.size() + sizeof(Held);
  held_.push_back(std::move(held));
}

std::vector<Order::Held> Order::release(TimePoint patient_until) {
  std::vector<Held> out;
  if (held_.empty()) return out;
  const bool is_over =
      in_step_ == 0 || held_bytes_ > most_held_bytes || held_.front().message().came <= patient_until;
  if (is_over) note_in_step(held_.front().slot);
  for (const Held& each : held_) {
    if (went_out(each)) note_in_step(each.slot);
  }
  // Who is in step is in order; what it brings may be what lets others go.
  std::vector<Held> still;
  for (Held& each : held_) {
    if (went_out(each)) {
      note_in_step(each.slot);
    } else if (is_in_step(each.slot)) {
      if (each.has_number) {
        last_ = each.what;
        last_slot_ = each.slot;
      }
      out.push_back(std::move(each));
    } else {
      still.push_back(std::move(each));
    }
  }
  held_ = std::move(still);
  if (held_.empty()) held_bytes_ = 0;
  return out;
}

}  // namespace holdfast::feed
