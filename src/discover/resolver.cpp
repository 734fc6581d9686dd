#include "discover/resolver.hpp"

#include <arpa/nameser.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

namespace holdfast::discover {

namespace {

constexpr std::chrono::milliseconds look_period{10};
// Of one try of one server; the second round of tries waits twice as long.
constexpr int patience_ms = 1000;
constexpr int tries = 2;

Error failure(std::string what) {
  return {Failure::refused, Side::backend, Retry::other_backend, std::move(what)};
}
Error nothing(std::string what) {
  return {Failure::refused, Side::backend, Retry::no, std::move(what)};
}

int type_of(config::DnsRecord record) {
  switch (record) {
    case config::DnsRecord::a:
      return ns_t_a;
    case config::DnsRecord::aaaa:
      return ns_t_aaaa;
    case config::DnsRecord::srv:
      return ns_t_srv;
  }
  return ns_t_a;
}

std::string listed(const std::vector<config::Address>& servers) {
  std::string text;
  for (const config::Address& server : servers) text += (text.empty() ? "" : ",") + server.text;
  return text;
}

// c-ares has to be told once per process, and is thread-safe after that.
int library_status() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

struct Resolver::Question {
  Done done;
  std::optional<Result<Answer>> answer;
};

Resolver::Resolver(boost::asio::io_context& io, const std::vector<config::Address>& servers) : timer_(io) {
  ares_options options{};
  options.timeout = patience_ms;
  options.tries = tries;
  ares_channel channel = nullptr;
  int status = library_status();
  if (status == ARES_SUCCESS)
    status = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
  channel_.reset(channel);
  if (status == ARES_SUCCESS && !servers.empty())
    status = ares_set_servers_ports_csv(channel, listed(servers).c_str());
  if (status == ARES_SUCCESS) return;
  broken_ = std::string("resolver: ") + ares_strerror(status);
  channel_.reset();
}

Resolver::~Resolver() {
  // c-ares calls `answered` for each of them now.
  channel_.reset();
}

void Resolver::ask(const std::string& name, config::DnsRecord type, Done done) {
  auto& question = *open_.emplace_back(std::make_unique<Question>());
  question.done = std::move(done);
  if (channel_ == nullptr) {
    question.answer = failure(broken_);
  } else {
    ares_search(channel_.get(), name.c_str(), ns_c_in, type_of(type), answered, &question);
  }
  if (!looking_) look_later();
}

// It may come from within ares_search (a name that is none): so the answer is delivered later.
void Resolver::answered(void* argument, int status, int, unsigned char* bytes, int size) {
  auto& question = *static_cast<Question*>(argument);
  if (status != ARES_SUCCESS) {
    const bool is_none = status == ARES_ENOTFOUND || status == ARES_ENODATA;
    question.answer = is_none ? nothing(ares_strerror(status)) : failure(ares_strerror(status));
    return;
  }
  auto answer = parse_answer({bytes, static_cast<std::size_t>(size)});
  const bool empty = answer && answer.value().addresses.empty() && answer.value().services.empty();
  question.answer = empty ? Result<Answer>(nothing("no such records")) : std::move(answer);
}

void Resolver::look_later() {
  looking_ = true;
  timer_.expires_after(look_period);
  timer_.async_wait([this, life = std::weak_ptr(life_)](const boost::system::error_code& error) {
    if (!error && !life.expired()) look();
  });
}

void Resolver::look() {
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
  const int wanted = channel_ == nullptr
                         ? 0
                         : ares_getsock(channel_.get(), sockets.data(), static_cast<int>(sockets.size()));
  for (unsigned n = 0; n < sockets.size() && wanted != 0; ++n) {
    const bool reads = ARES_GETSOCK_READABLE(wanted, n) != 0;
    const bool writes = ARES_GETSOCK_WRITABLE(wanted, n) != 0;
    if (!reads && !writes) continue;
    pollfd state{sockets[n], static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
    if (poll(&state, 1, 0) != 1) continue;
    ares_process_fd(channel_.get(), (state.revents & ~POLLOUT) != 0 ? sockets[n] : ARES_SOCKET_BAD,
                    (state.revents & POLLOUT) != 0 ? sockets[n] : ARES_SOCKET_BAD);
  }
  // Tries that took too long.
  if (channel_ != nullptr) ares_process_fd(channel_.get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  deliver();
  looking_ = !open_.empty();
  if (looking_) look_later();
}

// Who is told may ask the next question.
void Resolver::deliver() {
  looking_ = true;
  const auto answered = std::stable_partition(open_.begin(), open_.end(),
                                              [](const auto& question) { return !question->answer; });
  std::vector<std::unique_ptr<Question>> done(std::make_move_iterator(answered),
                                              std::make_move_iterator(open_.end()));
  open_.erase(answered, open_.end());
  for (const auto& question : done) question->done(std::move(*question->answer));
}

}  // namespace holdfast::discover
