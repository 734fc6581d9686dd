#include "feed/strand.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <utility>

#include "config/socket_address.hpp"
#include "feed/resolver.hpp"
#include "holdfast/config/match.hpp"
#include "holdfast/net/proxy_header.hpp"
#include "holdfast/ws/handshake.hpp"

namespace holdfast::feed {

namespace asio = boost::asio;

namespace {

constexpr std::size_t room_bytes = 128UL * 1024;  // of what is read at once
constexpr std::size_t most_unsent_bytes = 4UL << 20;
constexpr std::size_t most_unsent_pongs = 8UL << 20;
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::seconds proven{5};  // who was open for so long is tried again at once
constexpr std::uint16_t normal_closure = 1000;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

Error failed(Failure failure, std::string what) {
  return {failure, Side::backend, Retry::other_backend, std::move(what)};
}

std::string masked_frame(ws::Opcode opcode, std::span<const std::byte> payload, ws::Mask mask) {
  std::array<std::byte, ws::max_header_bytes> head{};
  ws::FrameHeader header;
  header.opcode = opcode;
  header.masked = true;
  header.mask = mask;
  header.payload = payload.size();
  const std::size_t size = ws::write_header(head, header);
  std::array<std::byte, sizeof mask> key{};
  std::memcpy(key.data(), &mask, sizeof mask);
  std::string frame(reinterpret_cast<const char*>(head.data()), size);
  frame.reserve(size + payload.size());
  for (std::size_t n = 0; n < payload.size(); ++n)
    frame += static_cast<char>(payload[n] ^ key[n & (key.size() - 1)]);
  return frame;
}

}  // namespace

Strand::Strand(SourceThread& thread, StrandOwner& owner, config::Source settings,
               std::vector<std::shared_ptr<const dial::Destination>> destinations, std::size_t slot,
               std::size_t first_url)
    : thread_(thread),
      owner_(&owner),
      settings_(std::move(settings)),
      destinations_(std::move(destinations)),
      slot_(slot),
      url_(first_url),
      timer_(thread.io()),
      since_(Clock::now()),
      heard_at_(since_) {}

void Strand::start(std::shared_ptr<Strand> strand) {
  asio::io_context& io = strand->thread_.io();
  asio::co_spawn(io, run(std::move(strand)), asio::detached);
}

void Strand::retire() {
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  timer_.cancel();
  if (is_open() && unsent_.empty()) {
    const auto close = ws::encode_close(normal_closure, {}, mask());
    (void)leg_->leg().write(close.view());
  }
  give_up_.request();
}

void Strand::enter(State state) noexcept {
  state_ = state;
  since_ = Clock::now();
}

std::chrono::milliseconds Strand::pause_before_retry() {
  const std::uint32_t doublings = std::min<std::uint32_t>(failures_, 20);
  const auto longest =
      std::min<std::chrono::milliseconds>(settings_.retry_max, first_pause * (1U << doublings));
  std::uniform_int_distribution<std::int64_t> jitter(longest.count() / 2, longest.count());
  return std::chrono::milliseconds(jitter(random_));
}

asio::awaitable<void> Strand::run(Self self) {
  while (self->owner_ != nullptr) {
    co_await wait_to_connect(self);
    if (self->owner_ == nullptr) break;
    self->enter(State::connecting);
    auto opened = co_await open(self);
    if (self->owner_ == nullptr) break;
    std::string why;
    if (opened) {
      ++self->connects_;
      self->enter(State::open);
      self->owner_->opened(self->slot_);
      std::string early = std::move(opened.value());
      why = co_await read(self, std::move(early));
      const bool was_good = Clock::now() - self->since_ > proven;
      self->failures_ = was_good ? 0 : self->failures_ + 1;
      // What was good for a while is tried again first, unless it hangs.
      if (std::exchange(self->is_hung_, false) || !was_good) ++self->url_;
    } else {
      why = opened.error().what;
      ++self->failures_;
      ++self->url_;
    }
    self->leg_.reset();
    self->writes_ = false;
    self->seat_ = {};
    self->unsent_.clear();
    self->unsent_bytes_ = 0;
    self->last_error_ = why;
    if (self->owner_ == nullptr) break;
    self->enter(State::waiting);
    self->owner_->lost(self->slot_, why);
    if (self->owner_ == nullptr) break;
    self->timer_.expires_after(self->failures_ == 0 ? first_pause / 2 : self->pause_before_retry());
    (void)co_await self->timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  self->leg_.reset();
}

asio::awaitable<void> Strand::wait_to_connect(Self self) {
  while (self->owner_ != nullptr) {
    const Clock::duration wait = self->owner_->wait_to_connect(Clock::now());
    if (wait <= Clock::duration::zero()) co_return;
    self->enter(State::waiting);
    self->last_error_ = "waits: the source allows no more connects now";
    self->timer_.expires_after(wait);
    (void)co_await self->timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

// Which backend or URL this try is for.
Result<void> Strand::choose() {
  if (!settings_.upstream.empty()) {
    destination_ = thread_.surroundings().find_upstream(settings_.upstream);
    if (destination_ == nullptr)
      return failed(Failure::refused, "upstream " + settings_.upstream + " is gone");
    auto seat = destination_->upstream->pick(upstream::Wish{});
    if (!seat) return failed(Failure::refused, "no eligible backend in upstream " + settings_.upstream);
    seat_ = *std::move(seat);
    address_ = destination_->settings_of(seat_.backend())->address;
    host_ = address_.host.empty() ? "localhost" : address_.text;
    target_ = settings_.path;
    where_ = settings_.upstream + "/" + address_.text;
    return {};
  }
  const config::SourceUrl& url = settings_.urls[url_ % settings_.urls.size()];
  destination_ = destinations_[url_ % settings_.urls.size()];
  if (url.scheme == config::SourceUrl::Scheme::wss && destination_->tls == nullptr)
    return failed(Failure::tls, url.url + ": no TLS can be had with this configuration");
  address_ = url.address;
  host_ = url.host;
  target_ = url.target;
  where_ = url.url;
  return {};
}

std::string Strand::request(const std::string& key) const {
  std::string text = "GET " + target_ + " HTTP/1.1\r\nHost: " + host_ +
                     "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  for (const auto* fields : {&settings_.headers, &settings_.read_headers}) {
    for (const auto& [name, value] : *fields) text += name + ": " + value + "\r\n";
  }
  if (!settings_.subprotocol.empty()) text += "Sec-WebSocket-Protocol: " + settings_.subprotocol + "\r\n";
  return text + "Sec-WebSocket-Key: " + key + "\r\n\r\n";
}

asio::awaitable<Result<config::Address>> Strand::resolved(Self self, config::Address address,
                                                          TimePoint deadline) {
  if (!address.sockets.empty() || address.kind != config::AddressKind::tcp) co_return address;
  const std::shared_ptr<Resolver::Lookup> lookup = self->thread_.resolver().look_up(address.host);
  if (!lookup->is_done) {
    const Resolver::Waiting waiting(lookup, self->timer_);  // `retire` cancels it, too
    self->timer_.expires_at(deadline);
    (void)co_await self->timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (!lookup->is_done) co_return failed(Failure::timeout, address.host + ": no name server answers");
  if (lookup->sockets.empty()) co_return failed(Failure::refused, address.host + ": " + lookup->error);
  address.sockets = lookup->sockets;
  for (config::SocketAddress& each : address.sockets) each = config::with_port(each, address.port);
  co_return address;
}

// Outlier detection hears of backends that can't be sources.
void Strand::blame(const Error& error) {
  const auto kind = upstream::blame(error.failure);
  if (seat_ && kind) (void)destination_->upstream->failed(seat_.backend(), *kind, error.what, Clock::now());
}

// What the source sent behind its 101.
asio::awaitable<Result<std::string>> Strand::open(Self self) {
  const TimePoint deadline = Clock::now() + self->settings_.connect_timeout;
  if (auto chosen = self->choose(); !chosen) co_return chosen.error();
  auto address = co_await resolved(self, self->address_, deadline);
  if (!address) co_return address.error();
  if (self->give_up_.requested()) co_return failed(Failure::cancelled, "retired");
  const config::ProxyVersion version = self->destination_->settings.proxy_protocol;
  std::string first_words;  // nobody is told of: it is for all
  if (version != config::ProxyVersion::off) first_words = net::build_proxy_header({}, version);
  auto connected =
      co_await dial::connect(self->thread_.io(), self->destination_, address.value(), std::move(first_words),
                             *self->thread_.surroundings().budget, deadline, &self->give_up_);
  if (!connected) {
    self->blame(connected.error());
    co_return connected.error();
  }
  self->leg_ = std::move(connected.value());
  self->leg_->expires_at(deadline);
  std::array<std::byte, 16> random{};
  RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(random.size()));
  const std::string key = ws::make_key(random);
  std::string request = self->request(key);
  auto exchanged = co_await dial::exchange(*self->leg_, std::move(request));
  if (!exchanged) {
    self->blame(exchanged.error());
    co_return exchanged.error();
  }
  const ws::ResponseHead& head = exchanged.value().head;
  if (head.status() != 101) co_return failed(Failure::garbage, "answered " + std::to_string(head.status()));
  ws::ClientHandshake offered{};
  const std::string& subprotocol = self->settings_.subprotocol;
  if (!subprotocol.empty()) offered.subprotocols.push_back(subprotocol);
  const auto agreed = ws::check_answer(head, offered, key);
  if (!agreed) co_return failed(Failure::garbage, agreed.error().what);
  if (agreed.value().subprotocol != subprotocol)
    co_return failed(Failure::garbage, "did not agree on the subprotocol " + subprotocol);
  if (self->seat_) self->destination_->upstream->succeeded(self->seat_);
  co_return std::move(exchanged.value().behind);
}

// Until it ends: why.
asio::awaitable<std::string> Strand::read(Self self, std::string early) {
  self->walker_ = ws::Walker(ws::Sender::server);
  self->message_.clear();
  self->leave_because_.clear();
  // Not touched before something comes: most of it costs a quiet source nothing.
  if (self->room_ == nullptr) self->room_ = std::make_unique_for_overwrite<std::byte[]>(room_bytes);
  const std::span<std::byte> buffer(self->room_.get(), room_bytes);
  self->ping_open_ = false;
  self->heard_at_ = Clock::now();
  std::size_t filled = 0;
  std::size_t behind = 0;  // of `early`
  for (;;) {
    TimePoint now = Clock::now();
    std::size_t got = std::min(early.size() - behind, buffer.size() - filled);
    if (got != 0) {
      std::memcpy(buffer.data() + filled, early.data() + behind, got);
      behind += got;
    } else {
      self->set_deadline(now);
      auto some = co_await self->leg_->read_some(buffer.subspan(filled));
      now = Clock::now();
      if (self->owner_ == nullptr) co_return "retired";
      if (!some && some.error().failure != Failure::timeout) co_return some.error().what;
      got = some ? some.value() : self->leg_->leg().read(buffer.subspan(filled)).bytes;
      if (got == 0) {  // this thread may have been the late one, but nothing is here
        std::string silent = self->look_at_silence(self, now);
        self->is_hung_ = !silent.empty();
        if (self->is_hung_) co_return silent;
        continue;
      }
    }
    self->heard_at_ = now;
    self->ping_open_ = false;
    filled += got;
    std::size_t used = 0;
    std::string why = self->take(buffer.first(filled), used, now);
    if (self->owner_ != nullptr) self->owner_->read_is_over();
    if (self->owner_ == nullptr) co_return "retired";
    start_writing(self);
    if (!why.empty()) co_return why;
    std::memmove(buffer.data(), buffer.data() + used, filled - used);
    filled -= used;
  }
}

std::string Strand::take(std::span<const std::byte> bytes, std::size_t& used, TimePoint now) {
  while (owner_ != nullptr) {
    const auto rest = bytes.subspan(used);
    const ws::Step step = walker_.next(rest, {settings_.max_message, 0});
    if (step.kind == ws::StepKind::need_more) return {};
    if (step.kind == ws::StepKind::violation)
      return "the source breaks the protocol: " + std::string(ws::describe(step.violation));
    used += step.size;
    if (step.kind == ws::StepKind::data) {
      take_data(rest.first(step.size), step, now);
      if (!leave_because_.empty()) return leave_because_;
    } else if (std::string why = take_control(rest.first(step.size), step.header); !why.empty()) {
      return why;
    }
  }
  return {};
}

void Strand::take_data(std::span<const std::byte> bytes, const ws::Step& step, TimePoint now) {
  if (step.starts_frame) {
    if (step.header.opcode != ws::Opcode::continuation) opcode_ = step.header.opcode;
    bytes = bytes.subspan(step.header.size);
  }
  const bool is_whole = walker_.at_message_boundary();
  if (!is_whole || !message_.empty()) {
    message_.insert(message_.end(), bytes.begin(), bytes.end());
    if (!is_whole) return;
    bytes = message_;
  }
  ++messages_;
  owner_->came(slot_, opcode_, bytes, now);
  message_.clear();
}

std::string Strand::take_control(std::span<const std::byte> frame, const ws::FrameHeader& header) {
  const ws::ControlPayload payload = ws::control_payload(frame, header);
  if (header.opcode == ws::Opcode::ping) {
    if (unsent_bytes_ > most_unsent_pongs) return "the source pings and does not read";
    const auto words = payload.view();
    owed_pong_.assign(words.begin(), words.end());
    if (owner_->may_pong(slot_)) write_pong();
    return {};
  }
  if (header.opcode != ws::Opcode::close) return {};
  const std::uint16_t code = ws::close_code(payload);
  const auto answer = ws::encode_close(code, {}, mask());
  if (unsent_.empty()) (void)leg_->leg().write(answer.view());
  return "the source closed with " + (code == ws::close_code_none ? "no code" : std::to_string(code)) + " " +
         std::string(ws::close_reason(payload));
}

void Strand::pong(const std::shared_ptr<Strand>& self) {
  if (!is_open()) return;
  write_pong();
  start_writing(self);
}

void Strand::write_pong() {
  const auto frame = ws::encode_pong(owed_pong_, mask());
  unsent_.emplace_back(reinterpret_cast<const char*>(frame.view().data()), frame.view().size());
  unsent_bytes_ += unsent_.back().size();
  flush_now();
}

bool Strand::send(const std::shared_ptr<Strand>& self, ws::Opcode opcode,
                  std::span<const std::byte> message) {
  if (!is_open() || unsent_bytes_ + message.size() > most_unsent_bytes) return false;
  unsent_.push_back(masked_frame(opcode, message, mask()));
  unsent_bytes_ += unsent_.back().size();
  flush_now();
  start_writing(self);
  return true;
}

void Strand::start_writing(const Self& self) {
  if (self->unsent_.empty() || std::exchange(self->writes_, true)) return;
  asio::co_spawn(self->thread_.io(), write(self), asio::detached);
}

// What can't go now goes with `write`, or with the next of these.
void Strand::flush_now() {
  while (!unsent_.empty()) {
    const net::IoResult sent = leg_->leg().write(as_bytes(unsent_.front()));
    unsent_bytes_ -= sent.bytes;
    unsent_.front().erase(0, sent.bytes);
    if (!unsent_.front().empty()) return;
    unsent_.pop_front();
  }
}

asio::awaitable<void> Strand::write(Self self) {
  const net::AsyncLeg* const of = self->leg_.get();
  while (self->leg_ != nullptr && self->leg_.get() == of && !self->unsent_.empty()) {
    asio::steady_timer pause(self->thread_.io(), std::chrono::milliseconds(5));
    (void)co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    if (self->leg_.get() == of && of != nullptr) self->flush_now();
  }
  self->writes_ = false;
}

void Strand::set_deadline(TimePoint now) {
  TimePoint deadline = TimePoint::max();
  const auto sooner = [&](TimePoint from, std::chrono::milliseconds after) {
    if (after.count() != 0) deadline = std::min(deadline, from + after);
  };
  sooner(heard_at_, settings_.silence_timeout);
  if (ping_open_) {
    sooner(ping_at_, settings_.ping_timeout);
  } else {
    sooner(heard_at_, settings_.ping_interval);
  }
  leg_->expires_at(deadline == TimePoint::max() ? deadline : std::max(deadline, now));
}

std::string Strand::look_at_silence(const Self& self, TimePoint now) {
  const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(now - heard_at_);
  const std::string what = "silent for " + std::to_string(silent.count()) + " ms";
  if (settings_.silence_timeout.count() != 0 && silent >= settings_.silence_timeout) return what;
  if (ping_open_ && now - ping_at_ >= settings_.ping_timeout) return what + ", also after a ping";
  if (!ping_open_ && settings_.ping_interval.count() != 0 && silent >= settings_.ping_interval) {
    ping_open_ = true;
    ping_at_ = now;
    const std::string own = owner_->ping(slot_);
    (void)send(self, own.empty() ? ws::Opcode::ping : ws::Opcode::text, as_bytes(own));
  }
  return {};
}

bool Strand::should_leave() const noexcept {
  return is_open() && seat_ && !seat_.backend().eligible();
}

SourceView Strand::view(TimePoint now) const {
  const auto ms = [&](TimePoint since) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now - since).count());
  };
  SourceView seen;
  seen.url = where_;
  seen.state = state_ == State::open ? "open" : state_ == State::connecting ? "connecting" : "waiting";
  seen.since_ms = ms(since_);
  seen.silent_ms = ms(heard_at_);
  seen.messages = messages_;
  seen.connects = connects_;
  seen.last_error = last_error_;
  return seen;
}

}  // namespace holdfast::feed
