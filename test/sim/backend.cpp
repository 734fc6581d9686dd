#include "sim/backend.hpp"

namespace holdfast::sim {

Backend::Backend(Connection::Surroundings around, const Plan& plan, unsigned id,
                 std::shared_ptr<upstream::Backend> where, const Peer& client)
    : Peer(around, plan, id, plan.backend_window), home(std::move(where)), client_(client) {
  last_words_ = random_.below(4);
  answers_close_ = plan.story == Story::planned || random_.chance(90);
  reads_on_ = plan.story == Story::planned || random_.chance(50);
  if (random_.chance(plan.deaths)) draw_death();
}

namespace {
std::uint32_t number_of(const Head& head) noexcept {
  return head.mask[0] | static_cast<std::uint32_t>(head.mask[1]) << 8U;
}
}  // namespace

void Backend::Taking::on_frame_end(const Head& head) {
  if (head.fin) taken_.push_back(number_of(head));
}

void Backend::note_turn() {
  const std::size_t taken_before = taken.size();
  const std::string_view all = connection.taken();
  if (taken_bytes_ < all.size()) {
    taken_reader_.feed(all.substr(taken_bytes_), taking_);
    taken_bytes_ = all.size();
  }
  const std::uint64_t got = connection.got_by_proxy();
  if (got == got_before_) return;
  while (frames_got_ < data_frames.size() && data_frames[frames_got_].end <= got_before_) ++frames_got_;
  if (frames_got_ < data_frames.size() && data_frames[frames_got_].begin < got) {
    note_followed();
    surely_followed = taken_before;
  }
  got_before_ = got;
}

void Backend::draw_death() {
  constexpr Death deaths[] = {Death::fin,         Death::fin,       Death::reset,       Death::reset,
                              Death::hang,        Death::host_gone, Death::close_going, Death::close_going,
                              Death::close_final, Death::violation};
  death_ = deaths[random_.below(random_.chance(30) ? 10 : 8)];
  const std::size_t most = random_.chance(50) ? 250 : 5'000;
  if (random_.chance(60)) read_limit_ = random_.below(most);
  if (read_limit_ == never || random_.chance(30)) sent_limit_ = random_.below(most);
}

void Backend::step() {
  if (life_ != Life::gone && random_.chance(50)) connection.acknowledge();
  if (life_ == Life::running) {
    if (random_.chance(plan_.backend_reads)) read_some();
    if (life_ == Life::running) talk();
    if (life_ == Life::running) finish_if_due();
  }
  arrive_some();
}

std::string Backend::early() {
  if (random_.chance(70)) return {};
  for (std::size_t n = random_.below(3); n > 0; --n) say_frame();
  const std::size_t most = std::min<std::uint64_t>(connection.up.size(), sent_limit_);
  const std::size_t bytes = random_.below(most + 1);
  connection.came_early(bytes);
  return connection.up.substr(0, bytes);
}

void Backend::read_some() {
  const std::uint64_t allowed = read_limit_ - connection.read_bytes();
  const auto there = static_cast<std::size_t>(std::min(connection.unread(), allowed));
  const bool deaf = close_sent() && !reads_on_;
  if (there > 0 && !deaf) hear(random_.some(there));
  if (connection.read_bytes() == read_limit_) die();
}

void Backend::talk() {
  if (close_sent() || silenced_) return;
  if (!pongs_due_.empty() && random_.chance(80)) {
    say_control(op_pong, pongs_due_.front());
    pongs_due_.pop_front();
  }
  if (message_open()) {
    if (random_.chance(70)) say_frame();
  } else if (answers_owed_ > 0 && random_.chance(70)) {
    --answers_owed_;
    say_frame();
  } else if (!close_seen() && said.size() < (plan_.story == Story::planned ? 30 : most_words) &&
             random_.chance(plan_.backend_speaks)) {
    say_frame();
  }
  if (random_.chance(plan_.pings)) say_ping();
}

void Backend::close_now(unsigned code) {
  said_code_ = code;
  say_close(code);
}

void Backend::finish_if_due() {
  if (wishes_close_ && !close_sent() && !message_open()) close_now(1000);
  if (close_seen() && !close_sent() && answers_close_ && !silenced_) {
    const bool done = !message_open() && answers_owed_ == 0;
    if (!done) return;
    if (last_words_ > 0) {
      --last_words_;
      say_frame();
    } else if (random_.chance(40)) {
      close_now(close_code());
    }
  }
  const bool over = (close_sent() && close_seen()) || connection.at_end();
  if (over && random_.chance(40)) {
    connection.process_gone();
    connection.end(Ending::fin);
    life_ = Life::gone;
  } else if (close_sent() && !reads_on_ && random_.chance(5)) {
    vanish(random_.chance(50) ? Ending::fin : Ending::reset);
  }
}

void Backend::arrive_some() {
  if (random_.chance(25)) return;
  const std::uint64_t allowed = life_ == Life::running ? sent_limit_ - connection.arrived() : never;
  const auto there = static_cast<std::size_t>(std::min(connection.on_its_way(), allowed));
  connection.arrive(there == 0 ? 0 : random_.some(there));
  if (life_ == Life::running && connection.arrived() == sent_limit_) die();
}

// Only a part of what it was writing has been written.
void Backend::vanish(Ending how) {
  connection.process_gone();
  const auto cut =
      connection.arrived() + random_.below(static_cast<std::size_t>(connection.on_its_way()) + 1);
  connection.up.resize(static_cast<std::size_t>(cut));
  connection.end(how);
  life_ = Life::gone;
}

unsigned Backend::going_code() {
  const auto& codes = plan_.route.reroute.close_codes;
  return codes[random_.below(codes.size())];
}

void Backend::die() {
  read_limit_ = sent_limit_ = never;
  if (close_sent()) return;
  died_of_ = death_;
  switch (death_) {
    case Death::none:
      return;
    case Death::fin:
      return vanish(Ending::fin);
    case Death::reset:
      return vanish(Ending::reset);
    case Death::hang:
      life_ = Life::stopped;
      return;
    case Death::host_gone:
      life_ = Life::stopped;
      connection.break_wire();
      return;
    case Death::close_going:
      return close_now(going_code());
    case Death::close_final:
      return close_now(random_.chance(50) ? 1000 : 4321);
    case Death::violation:
      return say_nonsense();
  }
}

void Backend::say_nonsense() {
  silenced_ = true;
  switch (random_.below(3)) {
    case 0:
      return say_raw(std::string_view("\x83\x00", 2));  // a reserved opcode
    case 1:
      return say_raw(std::string_view("\x82\x81\x01\x02\x03\x04\x05", 7));  // masked
    default:
      return say_raw(std::string_view("\x89\x7e\x01\x00", 4));  // a Ping of 256 bytes
  }
}

// --- what it hears ---

void Backend::on_head(const Head& head) {
  const std::uint32_t number = number_of(head);
  if ((head.mask[3] ^ head.mask[0]) != 0x5c)
    return verdict_.broken(connection.name() + ": a frame that nobody said");
  if (head.opcode == op_continuation) {
    if (number != number_ || head.mask[2] != fragment_ + 1)
      verdict_.broken(connection.name() + ": a fragment of message " + std::to_string(number) +
                      " where message " + std::to_string(number_) + " is under way");
    ++fragment_;
    return;
  }
  if (head.mask[2] != 0)
    verdict_.broken(connection.name() + ": message " + std::to_string(number) + " without its beginning");
  if (heard_one_ && number <= number_)
    verdict_.broken(connection.name() + ": message " + std::to_string(number) + " after " +
                    std::to_string(number_));
  number_ = number;
  heard_one_ = true;
  fragment_ = 0;
  message_.clear();
}

void Backend::on_frame_end(const Head& head) {
  if (!head.fin) return;
  const std::string words = "message " + std::to_string(number_);
  if (number_ >= client_.said.size()) return verdict_.broken(connection.name() + ": unknown " + words);
  if (message_ != client_.content(number_, client_.said[number_].size))
    return verdict_.broken(connection.name() + ": not what the client said: " + words);
  received.push_back(number_);
  if (random_.chance(plan_.backend_answers)) ++answers_owed_;
}

void Backend::on_control(const Head& head, std::string_view payload) {
  if (head.opcode == op_close) {
    note_close(payload);
    client_close_seen_ = payload.size() > 2;
  } else if (head.opcode == op_ping) {
    if (plan_.backends_answer_pings) pongs_due_.emplace_back(payload);
  } else if (payload.size() == proxy_ping_bytes) {
    verdict_.broken(connection.name() + " got the Pong of a Ping of the proxy's");
  }
}

}  // namespace holdfast::sim
