#include "sim/connection.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace holdfast::sim {

Descriptors::Descriptors() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (event_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Descriptors::~Descriptors() {
  for (const int each : free_) close(each);
  close(event_);
}

int Descriptors::get() {
  if (free_.empty()) return dup(event_);
  const int descriptor = free_.back();
  free_.pop_back();
  return descriptor;
}

class Connection::FakeLeg final : public net::Leg {
 public:
  explicit FakeLeg(Connection& connection)
      : connection_(connection), descriptor_(connection.around_.descriptors.get()) {}
  ~FakeLeg() override {
    connection_.around_.loop.remove(*this);
    connection_.around_.descriptors.put(descriptor_);
    connection_.leg_gone();
  }
  net::IoResult read(std::span<std::byte> into) noexcept override { return connection_.leg_reads(into); }
  net::IoResult write(std::span<const std::byte> bytes) noexcept override {
    return connection_.leg_writes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  void cork() noexcept override { connection_.corked_ = true; }
  void uncork() noexcept override { connection_.corked_ = false; }
  void finish_before_end() noexcept override {
    finish_writing();
    connection_.ends_now_ = true;
  }
  void finish_writing() noexcept override {
    connection_.corked_ = false;
    // A backend that is left while it takes nothing gets it within a frame.
    const bool must_be_whole = connection_.name_ == "client";
    if (must_be_whole && !connection_.owed_.empty() && !connection_.is_reset())
      connection_.around_.verdict.broken(connection_.name_ + ": FIN before what was to be written");
    connection_.finished_ = true;
  }
  net::IoState discard() noexcept override {
    Connection& c = connection_;
    c.got_ = c.arrived_;
    if (!c.end_arrived_) return net::IoState::drained;
    return c.ending_ == Ending::reset ? net::IoState::failed : net::IoState::end;
  }
  net::Liveness liveness() const noexcept override {
    const Connection& c = connection_;
    net::Liveness state;
    const std::uint64_t in_flight = c.down_.size() - c.acknowledged_;
    state.unacknowledged = in_flight > 0 ? 1 : 0;
    state.since_last_ack_ms = elapsed_ms(c.acknowledged_at_, c.now_);
    state.unacknowledged_bytes = static_cast<std::uint32_t>(in_flight);
    state.unanswered_probes = c.wire_broken_ && c.blocked_ ? 3 : 0;
    return state;
  }
  void abort() noexcept override { connection_.aborted_ = true; }
  void use_scratch(net::CipherScratch&) noexcept override { connection_.registered(); }

 private:
  int descriptor() const noexcept override { return descriptor_; }
  Connection& connection_;
  int descriptor_;
};

Connection::Connection(Surroundings around, std::string name, std::size_t window)
    : around_(around), name_(std::move(name)), window_(window) {}

Connection::~Connection() {
  if (leg_ != nullptr) around_.verdict.broken(name_ + ": its leg is still there");
}

std::unique_ptr<net::Leg> Connection::make_leg() {
  auto leg = std::make_unique<FakeLeg>(*this);
  leg_ = leg.get();
  return leg;
}

net::Leg* Connection::leg() const noexcept {
  return leg_;
}

// Adding a descriptor to epoll tells the state that it is in.
void Connection::registered() noexcept {
  registered_ = edge_ = edge_writable_ = true;
  edge_readable_ = got_ < arrived_ || end_arrived_;
}

net::Readiness Connection::take_event() noexcept {
  const bool reset = is_reset();
  const net::Readiness ready{edge_readable_ || end_arrived_, edge_writable_ || reset, end_arrived_, reset};
  edge_ = edge_readable_ = edge_writable_ = false;
  return ready;
}

net::IoResult Connection::leg_reads(std::span<std::byte> into) noexcept {
  const net::IoState at_end = is_reset() ? net::IoState::failed : net::IoState::end;
  const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(arrived_ - got_, into.size()));
  if (here == 0) return {0, end_arrived_ ? at_end : net::IoState::drained};
  const std::size_t bytes = around_.random.chance(30) ? around_.random.some(here) : here;
  std::memcpy(into.data(), up.data() + got_, bytes);
  got_ += bytes;
  if (got_ < arrived_ || around_.random.chance(50)) return {bytes, net::IoState::more};
  return {bytes, end_arrived_ ? at_end : net::IoState::drained};
}

net::IoResult Connection::leg_writes(std::string_view bytes) noexcept {
  if (finished_) around_.verdict.broken(name_ + ": a write behind the FIN");
  if (is_reset()) return {0, net::IoState::failed};
  if (bytes.substr(0, owed_.size()) != owed_)
    around_.verdict.broken(name_ + ": a write does not begin with what was not taken before");
  const std::size_t room = window_ - std::min<std::size_t>(window_, static_cast<std::size_t>(unread()));
  std::size_t taken = std::min(room, bytes.size());
  if (taken > 0 && around_.random.chance(15)) taken = around_.random.below(taken + 1);
  down_.append(bytes.substr(0, taken));
  owed_.assign(bytes.substr(taken));
  blocked_ = !owed_.empty();
  // A process that is gone answers data with a reset.
  if (taken > 0 && ending_ == Ending::fin && reads_no_more_) {
    ending_ = Ending::reset;
    edge_ = edge_ || end_arrived_;
  }
  return {taken, blocked_ ? net::IoState::drained : net::IoState::more};
}

void Connection::leg_gone() noexcept {
  leg_ = nullptr;
  gone_ = true;
  // Unread input makes it a reset: what has not been acknowledged never comes.
  cut_off_ = !owed_.empty();
  const bool resets = aborted_ || (got_ != arrived_ && !around_.random.chance(50));
  if (!resets || acknowledged_ == down_.size()) return;
  arrives_ = acknowledged_;
  cut_off_ = true;
}

std::string_view Connection::read(std::size_t most) {
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(most, unread()));
  const std::string_view read(down_.data() + read_, bytes);
  read_ += bytes;
  if (acknowledged_ < read_) {
    acknowledged_ = read_;
    acknowledged_at_ = now_;
  }
  return read;
}

void Connection::tell_time(Tick now) noexcept {
  now_ = now;
  if (leg_ != nullptr && corked_) around_.verdict.broken(name_ + ": last words without a FIN stay corked");
  if (leg_ != nullptr && ends_now_)
    around_.verdict.broken(name_ + ": the FIN is left to an end that does not come");
  // A host that is there acknowledges soon.
  if (!wire_broken_ && ending_ != Ending::reset && elapsed_ms(acknowledged_at_, now) > 8) {
    acknowledged_ = down_.size();
    acknowledged_at_ = now;
  }
  if (blocked_ && unread() < window_ && !wire_broken_) edge_ = edge_writable_ = true;
}

void Connection::arrive(std::size_t most) {
  if (wire_broken_ || end_arrived_) return;
  const auto bytes = std::min<std::uint64_t>(most, on_its_way());
  arrived_ += bytes;
  if (arrived_ == up.size() && ending_ != Ending::none) {
    end_arrived_ = true;
    edge_ = edge_writable_ = true;
  } else if (bytes == 0) {
    return;
  }
  edge_ = edge_readable_ = true;
}

void Connection::acknowledge() {
  if (wire_broken_ || ending_ == Ending::reset || acknowledged_ == down_.size()) {
    if (!wire_broken_ && acknowledged_ == down_.size()) acknowledged_at_ = now_;
    return;
  }
  acknowledged_ += around_.random.some(static_cast<std::size_t>(down_.size() - acknowledged_));
  acknowledged_at_ = now_;
}

void Connection::end(Ending how) {
  if (ending_ == Ending::reset) return;
  ending_ = how;
  if (how == Ending::reset) {
    up.resize(static_cast<std::size_t>(arrived_ +
                                       around_.random.below(static_cast<std::size_t>(on_its_way()) + 1)));
    reads_no_more_ = true;
  }
}

}  // namespace holdfast::sim
