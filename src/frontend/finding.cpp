// From a request that may have a session to the backend that gives it: a seat, a dial, an answer, and again.

#include <algorithm>
#include <array>
#include <span>

#include "frontend/connection.hpp"
#include "frontend/continuing.hpp"
#include "frontend/hash_key.hpp"
#include "frontend/identity.hpp"
#include "frontend/reach.hpp"
#include "frontend/relay.hpp"
#include "frontend/watch.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using metrics::HandshakeResult;

namespace {

constexpr std::size_t most_backends = 3;
// Without a limit that knows better: a client that comes back at once would find the same.
constexpr std::string_view retry_after = "Retry-After: 2\r\n";

// Who was refused by a backend's kernel, or by ours, has cost nobody anything.
bool was_free(const Error& error) {
  return error.failure == Failure::refused || error.failure == Failure::internal;
}

}  // namespace

Connection::Step Connection::find_backend() {
  destination_ = route_->destination;
  Search search;
  search.deadline = Clock::now() + destination_->settings.setup_timeout;
  client_->expires_at(search.deadline);  // the request is here: from now on setup_timeout counts
  write_request();
  search.hash_key = hash_key(destination_->settings.policy, first_request_);
  destination_->upstream->state().retries().first_try(Clock::now());
  Watch watch(thread_.watches(), *client_);
  while (search.tried.size() < most_backends && Clock::now() < search.deadline) {
    Seated seated = take_seat(search);
    if (seated.may_wait)
      seated = co_await wait_for_seat(thread_, destination_, search.hash_key, search.deadline, watch);
    if (seated.destination != nullptr) {
      destination_ = std::move(seated.destination);
      search.hash_key = hash_key(destination_->settings.policy, first_request_);
    }
    search.why = seated.why;
    std::optional<upstream::Seat>& seat = seated.seat;
    if (!seat || !may_dial(search)) break;
    search.tried.push_back(&seat->backend());
    const Try outcome = co_await try_backend(*seat, search, watch.give_up());
    if (outcome == Try::over) co_return false;
    if (watch.give_up().requested()) {
      leave("closed while its backend was dialled");
      co_return false;
    }
    if (outcome == Try::accepted) {
      pending_ = {};
      destination_->upstream->succeeded(*seat);
      seat_ = std::move(seat);
      co_return true;
    }
    note_failure(thread_, *destination_, seat->backend(), *search.last);
    if (search.last->retry == Retry::no) break;
  }
  pending_ = {};
  if (search.why == Seated::Why::client_is_gone) {
    leave("closed while it waited for a place");
  } else if (refused_) {
    Refused refused = *std::move(refused_);
    co_await answer(std::move(refused));
  } else {
    co_await answer_failure(search);
  }
  co_return false;
}

Seated Connection::take_seat(const Search& search) const {
  if (!search.tried.empty())
    return {destination_->upstream->pick(upstream::Wish{search.tried, search.hash_key}), nullptr};
  return frontend::take_seat(*destination_, member_of_cookie(*destination_, *head_), search.hash_key);
}

bool Connection::may_dial(const Search& search) {
  upstream::UpstreamState& state = destination_->upstream->state();
  if (search.tried.empty()) {
    refused_ = admit_dial(state, pending_);
    return !refused_;
  }
  if (was_free(*search.last) || state.retries().may_retry(Clock::now())) return true;
  state.circuit().count(upstream::Circuit::Break::retries);
  return false;
}

void Connection::leave(std::string detail) {
  cells().handshake(HandshakeResult::client_gone);
  record(0, std::move(detail));
}

void Connection::write_request() {
  const config::Reroute& reroute = *route_->reroute;
  id_ = random_session_id(thread_.randomness());
  request_->extensions = extensions_to_offer(reroute, request_->extensions);
  std::array<ws::ExtraField, 2> fields{session_field(id_)};
  if (!reroute.secret.empty())
    fields[1] = reroute_field(id_, 0, "first", reroute.secret, std::chrono::system_clock::now());
  if (destination_->settings.proxy_protocol != config::ProxyVersion::off) for_backends_ = proxy_header();
  ws::Offer offer = first_offer(reroute, request_->extensions);
  offer.subprotocols = admission_.offered;
  request_stem_ = ws::build_request_stem(*head_, forwarded_by());
  first_request_ = ws::with_offer(request_stem_, *head_, admission_.edits, offer,
                                  std::span(fields).first(reroute.secret.empty() ? 1 : 2));
}

asio::awaitable<Connection::Try> Connection::try_backend(upstream::Seat& seat, Search& search,
                                                         net::GiveUp& give_up) {
  const dial::Destination& destination = *destination_;
  const config::BackendConfig* settings = destination.settings_of(seat.backend());
  const std::string key = random_key(thread_.randomness());
  std::string request = ws::finish_request(first_request_, key);
  std::string first_words;
  if (for_backends_)
    first_words = net::build_proxy_header(*for_backends_, destination.settings.proxy_protocol);
  std::shared_ptr<const config::Address> address(destination_, &settings->address);
  auto reached = co_await reach(thread_, destination_, std::move(address), std::move(first_words),
                                std::move(request), search.deadline, &give_up);
  if (!reached) {
    search.last = reached.error();
    co_return Try::failed;
  }
  std::unique_ptr<net::AsyncLeg> leg = std::move(reached.value().leg);
  dial::Answer got = std::move(reached.value().answer);
  if (got.head.status() != 101) {
    const unsigned status = got.head.status();
    note_answer(thread_, destination, seat, status);
    pending_ = {};
    leg->obey(nullptr);
    cells().handshake(HandshakeResult::backend_answer);
    record(status, "answer of backend " + seat.backend().address());
    auto relayed = co_await relay_answer(*client_, *leg, std::move(got));
    if (relayed) co_await client_->linger();
    co_return Try::over;
  }
  auto agreed = ws::check_answer(got.head, *request_, key);
  if (!agreed) {
    note_misfit(seat.backend(), agreed.error().what);
    search.last = Error{Failure::garbage, Side::us, Retry::other_backend, agreed.error().what};
    co_return Try::failed;
  }
  agreement_ = agreement_with_client(*route_->reroute, std::move(agreed.value()));
  leg->obey(nullptr);
  backend_ = std::move(leg);
  answer_ = std::move(got);
  co_return Try::accepted;
}

asio::awaitable<void> Connection::answer_failure(const Search& search) {
  const std::string upstream = route_->destination->upstream->name();
  const std::optional<Error>& last = search.last;
  if (!last) {
    std::string what = "no eligible backend in upstream " + upstream;
    if (search.why == Seated::Why::full) what = "no room at the backends of upstream " + upstream;
    if (search.why == Seated::Why::waited)
      what = "no place became free in time at the backends of upstream " + upstream;
    ws::Rejection none{503, std::move(what), std::string(retry_after)};
    co_await answer(std::move(none), HandshakeResult::no_backend);
    co_return;
  }
  // The client learns the kind of failure; addresses and reasons are for the log.
  ws::Rejection rejection{502, "the backend gave no valid answer", {}};
  HandshakeResult result = HandshakeResult::bad_backend;
  if (last->failure == Failure::timeout) {
    rejection = {504, "no backend answered in time", {}};
    result = HandshakeResult::backend_timeout;
  } else if (last->failure == Failure::refused || last->failure == Failure::internal) {
    rejection = {503, "no backend could be reached", std::string(retry_after)};
    result = HandshakeResult::no_backend;
  }
  co_await answer(std::move(rejection), result);
}

net::ProxyHeader Connection::proxy_header() const {
  net::ProxyHeader header = told_;
  header.source = peer_;
  if (!told_.is_told()) header.destination = client_->local_address();
  if (header.authority.empty()) header.authority = request_->host;
  if (listener_->tls == nullptr) return header;
  const auto& leg = dynamic_cast<const net::TlsLeg&>(client_->leg());
  header.over_tls = true;
  header.tls_version = leg.version();
  header.common_name = leg.peer_common_name();
  if (const std::string name = leg.server_name(); !name.empty()) header.authority = name;
  return header;
}

}  // namespace holdfast::frontend
