#include "sim/peer.hpp"

#include <algorithm>

namespace holdfast::sim {

Peer::Peer(Connection::Surroundings around, const Plan& plan, unsigned id, std::size_t window)
    : connection(around, id == 0 ? "client" : "leg " + std::to_string(id), window),
      random_(around.random),
      verdict_(around.verdict),
      plan_(plan),
      id_(id),
      reader_(id == 0 ? From::server : From::client) {}

void Peer::hear(std::size_t most) {
  reader_.feed(connection.read(most), *this);
  if (!reader_.wrong().empty()) verdict_.broken(connection.name() + " got " + reader_.wrong());
}

// The client's messages are known by their masks, so they may have any size; a backend's by their first
// bytes.
std::string Peer::content(std::uint32_t number, std::size_t size) const {
  std::string bytes(size, '\0');
  const std::uint32_t seed = number * 64 + id_;
  for (std::size_t n = 0; n < size; ++n) bytes[n] = pattern(seed, n);
  if (id_ == 0 || size == 0) return bytes;
  bytes[0] = static_cast<char>(id_);
  bytes[1] = static_cast<char>(number & 0xffU);
  bytes[2] = static_cast<char>(number >> 8U);
  bytes[3] = static_cast<char>(0xa5);
  return bytes;
}

std::size_t Peer::draw_size() {
  const std::size_t hold = plan_.route.reroute.hold_bytes;
  std::size_t size = 0;
  switch (random_.below(16)) {
    case 0:
      break;
    case 1:
      size = random_.between(120, 132);  // around the 16-bit length
      break;
    case 2:
    case 3:
      size = hold + random_.below(24) - std::min<std::size_t>(hold, 16);
      break;
    case 4:
    case 5:
      size = random_.below(4 * hold + 1);
      break;
    case 6:
      size = random_.chance(8) ? random_.between(65'530, 65'545) : random_.below(hold + 1);
      break;
    default:
      size = random_.below(64);
  }
  // The first that the client gets of a leg must tell which leg it is.
  const bool may_be_first = said.size() <= plan_.route.reroute.preamble_answers;
  if (id_ != 0 && size < 4) size = size == 0 && !may_be_first ? 0 : 4;
  return size;
}

std::array<unsigned char, 4> Peer::tag() const noexcept {
  const auto number = static_cast<unsigned>(said.size());
  const auto low = static_cast<unsigned char>(number);
  return {low, static_cast<unsigned char>(number >> 8U), static_cast<unsigned char>(fragment_),
          static_cast<unsigned char>(low ^ 0x5cU)};
}

void Peer::say_frame() {
  Head head;
  head.opcode = op_continuation;
  if (!message_open()) {
    open_ = content(static_cast<std::uint32_t>(said.size()), draw_size());
    open_begin_ = connection.up.size();
    sent_of_open_ = 0;
    fragment_ = 0;
    head.opcode = random_.chance(50) ? op_text : op_binary;
  }
  std::size_t size = open_.size() - sent_of_open_;
  head.fin = fragment_ >= 6 || !random_.chance(plan_.fragments);
  if (!head.fin) size = random_.below(size + 1);
  head.masked = id_ == 0;
  head.mask = tag();
  const std::uint64_t begin = connection.up.size();
  append_frame(connection.up, head, std::string_view(open_).substr(sent_of_open_, size));
  sent_of_open_ += size;
  data_frames.push_back({begin, connection.up.size()});
  ++fragment_;
  if (!head.fin) return;
  said.push_back({static_cast<std::uint32_t>(open_.size()), open_begin_, connection.up.size()});
  sent_of_open_ = nothing;
}

void Peer::say_control(unsigned opcode, std::string_view payload) {
  Head head;
  head.opcode = opcode;
  head.masked = id_ == 0;
  for (unsigned char& each : head.mask) each = static_cast<unsigned char>(random_.any());
  append_frame(connection.up, head, payload);
}

void Peer::say_close(unsigned code) {
  std::string payload;
  if (code != config::Reroute::no_code) {
    payload += static_cast<char>(code >> 8U);
    payload += static_cast<char>(code & 0xffU);
    payload += "said";  // the proxy's own have no reason
  }
  say_control(op_close, payload);
  close_end_ = connection.up.size();
}

void Peer::say_ping() {
  std::string payload = id_ == 0 ? "c" : "b";
  payload += static_cast<char>(id_);
  payload += static_cast<char>(pings_said_ & 0xffU);
  ++pings_said_;
  say_control(op_ping, payload);
}

void Peer::note_close(std::string_view payload) {
  close_seen_ = true;
  close_code_ = payload.size() < 2
                    ? static_cast<unsigned>(config::Reroute::no_code)
                    : static_cast<unsigned char>(payload[0]) * 256U + static_cast<unsigned char>(payload[1]);
}

}  // namespace holdfast::sim
