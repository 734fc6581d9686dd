#include "sim/frames.hpp"

#include <algorithm>

namespace holdfast::sim {

void append_frame(std::string& out, const Head& head, std::string_view payload) {
  out += static_cast<char>(head.opcode | (head.fin ? 0x80U : 0U));
  const unsigned mask_bit = head.masked ? 0x80U : 0U;
  const std::size_t size = payload.size();
  int extended = 0;
  if (size < 126) {
    out += static_cast<char>(mask_bit | size);
  } else if (size < 65'536) {
    out += static_cast<char>(mask_bit | 126U);
    extended = 2;
  } else {
    out += static_cast<char>(mask_bit | 127U);
    extended = 8;
  }
  for (int n = extended - 1; n >= 0; --n) out += static_cast<char>(size >> (8 * n) & 0xffU);
  if (!head.masked) {
    out += payload;
    return;
  }
  for (const unsigned char each : head.mask) out += static_cast<char>(each);
  for (std::size_t n = 0; n < size; ++n)
    out += static_cast<char>(static_cast<unsigned char>(payload[n]) ^ head.mask[n % 4]);
}

void Reader::feed(std::string_view bytes, Listener& listener) {
  while (!bytes.empty() && wrong_.empty()) {
    if (closed_) {
      wrong_ = "bytes behind a Close";
      return;
    }
    if (in_data_) {
      bytes.remove_prefix(take_payload(bytes, listener));
      continue;
    }
    waiting_ += bytes.front();
    bytes.remove_prefix(1);
    if (take_waiting(listener)) waiting_.clear();
  }
}

std::size_t Reader::take_payload(std::string_view bytes, Listener& listener) {
  const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
  if (head_.masked) {
    unmasked_.assign(bytes.substr(0, here));
    for (char& each : unmasked_) {
      each = static_cast<char>(static_cast<unsigned char>(each) ^ head_.mask[position_ % 4]);
      ++position_;
    }
    listener.on_payload(unmasked_);
  } else {
    listener.on_payload(bytes.substr(0, here));
  }
  left_ -= here;
  if (left_ == 0) {
    in_data_ = false;
    listener.on_frame_end(head_);
    if (!message_open_) message_bytes_ = 0;
  }
  return here;
}

std::size_t Reader::header_size() const noexcept {
  if (waiting_.size() < 2) return 0;
  const unsigned second = static_cast<unsigned char>(waiting_[1]);
  const unsigned length = second & 0x7fU;
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  const std::size_t size = 2 + extended + ((second & 0x80U) != 0 ? 4 : 0);
  return waiting_.size() < size ? 0 : size;
}

Head Reader::parse_head(std::size_t size) {
  Head head;
  const unsigned first = static_cast<unsigned char>(waiting_[0]);
  const unsigned second = static_cast<unsigned char>(waiting_[1]);
  head.opcode = first & 0x0fU;
  head.fin = (first & 0x80U) != 0;
  head.masked = (second & 0x80U) != 0;
  head.length = second & 0x7fU;
  const std::size_t extended = head.length == 126 ? 2 : head.length == 127 ? 8 : 0;
  if (extended != 0) head.length = 0;
  for (std::size_t n = 0; n < extended; ++n)
    head.length = head.length << 8U | static_cast<unsigned char>(waiting_[2 + n]);
  if ((extended == 2 && head.length < 126) || (extended == 8 && head.length < 65'536))
    wrong_ = "a length that is not minimal";
  for (std::size_t n = 0; head.masked && n < 4; ++n)
    head.mask[n] = static_cast<unsigned char>(waiting_[size - 4 + n]);
  return head;
}

void Reader::judge(const Head& head, unsigned first_byte) {
  if ((first_byte & 0x70U) != 0) wrong_ = "reserved bits";
  if (head.masked != (sender_ == From::client))
    wrong_ = "a mask where none may be, or none where one must be";
  const bool control = head.opcode >= 8;
  if (head.opcode > op_pong || (!control && head.opcode > op_binary)) wrong_ = "a reserved opcode";
  if (control && (!head.fin || head.length > 125)) wrong_ = "a control frame that is no control frame";
  if (control) return;
  if (head.opcode == op_continuation && !message_open_) wrong_ = "a continuation of nothing";
  if (head.opcode != op_continuation && message_open_) wrong_ = "a message within a message";
}

void Reader::judge_close(std::string_view payload) {
  closed_ = true;
  if (payload.empty()) return;
  if (payload.size() == 1) {
    wrong_ = "a Close with half a code";
    return;
  }
  const unsigned code =
      static_cast<unsigned char>(payload[0]) * 256U + static_cast<unsigned char>(payload[1]);
  const bool known =
      (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code < 5000);
  if (!known) wrong_ = "a Close code that may not travel";
}

void Reader::begin_data(const Head& head, std::size_t header_bytes, Listener& listener) {
  head_ = head;
  left_ = head.length;
  position_ = 0;
  frame_bytes_ = header_bytes + head.length;
  message_bytes_ += frame_bytes_;
  message_open_ = !head.fin;
  listener.on_head(head);
  if (left_ != 0) {
    in_data_ = true;
    return;
  }
  listener.on_frame_end(head);
  if (!message_open_) message_bytes_ = 0;
}

bool Reader::take_waiting(Listener& listener) {
  const std::size_t size = header_size();
  if (size == 0) return false;
  const Head head = parse_head(size);
  judge(head, static_cast<unsigned char>(waiting_[0]));
  if (!wrong_.empty()) return false;
  if (head.opcode < 8) {
    begin_data(head, size, listener);
    return true;
  }
  if (waiting_.size() < size + head.length) return false;
  std::string payload = waiting_.substr(size);
  for (std::size_t n = 0; head.masked && n < payload.size(); ++n)
    payload[n] = static_cast<char>(static_cast<unsigned char>(payload[n]) ^ head.mask[n % 4]);
  if (head.opcode == op_close) judge_close(payload);
  listener.on_control(head, payload);
  return true;
}

}  // namespace holdfast::sim
