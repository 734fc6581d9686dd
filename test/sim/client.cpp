#include "sim/client.hpp"

namespace holdfast::sim {

Client::Client(Connection::Surroundings around, const Plan& plan, const Legs& legs)
    : Peer(around, plan, 0, plan.client_window), legs_(legs) {}

std::string Client::early() {
  if (random_.chance(70)) return {};
  for (std::size_t n = random_.below(3); n > 0; --n) say_frame();
  const std::size_t bytes = random_.below(connection.up.size() + 1);
  connection.came_early(bytes);
  return connection.up.substr(0, bytes);
}

void Client::step() {
  if (!silent_ && random_.chance(50)) connection.acknowledge();
  if (!gone_ && !silent_) {
    if (random_.chance(plan_.client_reads) && connection.unread() > 0)
      hear(random_.some(static_cast<std::size_t>(connection.unread())));
    if (!finished_) talk();
    const bool over = (close_sent() && close_seen()) || connection.at_end();
    if (over && random_.chance(30)) {
      connection.process_gone();
      connection.end(Ending::fin);
      gone_ = finished_ = true;
    }
  }
  if (random_.chance(25)) return;
  const auto there = static_cast<std::size_t>(connection.on_its_way());
  connection.arrive(there == 0 ? 0 : random_.some(there));
}

void Client::talk() {
  if (close_sent()) return;
  if (!pongs_due_.empty() && random_.chance(80)) {
    say_control(op_pong, pongs_due_.front());
    pongs_due_.pop_front();
  }
  if (close_seen()) {
    if (plan_.client_answers_close && random_.chance(50)) say_close(close_code());
    return;
  }
  if (random_.chance(plan_.client_speaks) && !has_said_all()) say_frame();
  if (random_.chance(plan_.pings)) say_ping();
}

void Client::leave(Exit how) {
  if (gone_ || finished_) return;
  switch (how) {
    case Exit::client_close:
      if (!close_sent()) say_close(own_code);
      return;
    case Exit::client_fin: {
      const auto cut =
          connection.arrived() + random_.below(static_cast<std::size_t>(connection.on_its_way()) + 1);
      connection.up.resize(static_cast<std::size_t>(cut));
      connection.end(Ending::fin);
      finished_ = vanished_ = true;
      return;
    }
    case Exit::client_reset:
      connection.end(Ending::reset);
      gone_ = vanished_ = true;
      return;
    case Exit::client_silence:
      connection.break_wire();
      silent_ = vanished_ = true;
      return;
    default:
      return;
  }
}

// --- what it hears ---

void Client::on_head(const Head& head) {
  if (head.opcode != op_continuation) message_.clear();
}

void Client::on_frame_end(const Head& head) {
  if (head.fin) judge_message();
}

// Which of them an empty one is says its place only: a leg's first message is never empty.
bool Client::take_empty() {
  if (from_ == 0) return false;
  Heard& heard = heard_[from_];
  const std::size_t next = heard.first + heard.count;
  const auto& theirs = legs_[from_ - 1]->said;
  if (next >= theirs.size() || theirs[next].size != 0) return false;
  ++heard.count;
  return true;
}

void Client::judge_message() {
  if (message_.empty()) {
    if (!take_empty()) verdict_.broken("the client got an empty message that was not next");
    return;
  }
  if (message_.size() < 4) return verdict_.broken("the client got a message that nobody said");
  const auto leg = static_cast<unsigned char>(message_[0]);
  const std::size_t number =
      static_cast<unsigned char>(message_[1]) + 256U * static_cast<unsigned char>(message_[2]);
  const std::string words = "message " + std::to_string(number) + " of leg " + std::to_string(leg);
  if (leg == 0 || leg > legs_.size())
    return verdict_.broken("the client got " + words + ", which nobody said");
  const Backend& from = *legs_[leg - 1];
  if (number >= from.said.size() ||
      message_ != from.content(static_cast<std::uint32_t>(number), from.said[number].size))
    return verdict_.broken("the client got " + words + " altered: " + std::to_string(message_.size()) +
                           " bytes");
  if (leg < from_)
    return verdict_.broken("the client got " + words + " after one of leg " + std::to_string(from_));
  if (heard_.size() <= leg) heard_.resize(leg + 1U);
  Heard& heard = heard_[leg];
  if (leg > from_) {
    const std::size_t swallowed = leg == 1 ? 0 : plan_.route.reroute.preamble_answers;
    if (number > swallowed) return verdict_.broken("the client got " + words + " first");
    from_ = leg;
    heard = {number, 0};
  }
  if (number != heard.first + heard.count)
    return verdict_.broken("the client got " + words + " where " + std::to_string(heard.first + heard.count) +
                           " was next");
  ++heard.count;
}

void Client::on_control(const Head& head, std::string_view payload) {
  if (head.opcode == op_close) {
    note_close(payload);
  } else if (head.opcode == op_ping) {
    if (plan_.client_answers_pings || payload.size() != proxy_ping_bytes) pongs_due_.emplace_back(payload);
  } else if (payload.size() == proxy_ping_bytes) {
    verdict_.broken("the client got the Pong of a Ping of the proxy's");
  } else if (payload.size() != 3 || payload[0] != 'c') {
    verdict_.broken("the client got a Pong for no Ping of its own");
  }
}

}  // namespace holdfast::sim
