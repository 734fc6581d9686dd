#include "frontend/connection.hpp"

#include <algorithm>

#include "frontend/continuing.hpp"
#include "frontend/gate.hpp"
#include "frontend/proxying.hpp"
#include "frontend/watch.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using metrics::HandshakeResult;
using metrics::TlsResult;

namespace {

// How long a TLS handshake may keep its place while others wait: a few round trips of a slow mobile network.
constexpr std::chrono::seconds patience_when_crowded{2};

TlsResult tls_result(const Error& error) {
  if (error.failure == Failure::timeout) return TlsResult::timeout;
  return error.failure == Failure::eof ? TlsResult::gone : TlsResult::failed;
}

auth::WallTime wall_time() {
  return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
}

}  // namespace

// No `if (!co_await …)`: g++ 12 compiles a co_await inside a condition into a trap.
asio::awaitable<void> serve(SetupThread&, std::unique_ptr<Connection> connection) {
  bool goes_on = connection->is_open();
  if (goes_on && connection->has_proxy_header()) goes_on = co_await connection->read_proxy_header();
  if (goes_on && connection->is_tls()) goes_on = co_await connection->shake_tls();
  if (goes_on) goes_on = co_await connection->read_request();
  if (goes_on && !connection->choose_route()) {
    co_await connection->answer_refusal();
    co_return;
  }
  if (goes_on && connection->needs_authorising()) goes_on = co_await connection->authorise();
  if (goes_on && connection->is_for_feed()) {
    co_await connection->join_feed();
    co_return;
  }
  if (goes_on) goes_on = co_await connection->find_backend();
  if (goes_on) co_await connection->hand_over();
}

Connection::Connection(SetupThread& thread, Accepted accepted)
    : thread_(thread),
      serving_(std::move(accepted.serving)),
      listener_(serving_->find_listener(accepted.listener)),
      peer_(accepted.peer),
      accepted_at_(accepted.when),
      deadline_(accepted.when) {
  if (listener_ == nullptr) return;
  deadline_ = accepted.when + listener_->settings.handshake_timeout;
  listener_seat_ = session::ListenerSeat::take(listener_->state->load, listener_->settings.max_sessions);
  if (listener_->settings.proxy_protocol == config::Listener::ProxyHeader::required) {
    make_leg(net::make_plain_leg(std::move(accepted.socket)));
  } else if (admit_address()) {
    if (listener_->tls == nullptr) {
      make_leg(net::make_plain_leg(std::move(accepted.socket)));
    } else {
      make_leg(net::make_tls_server_leg(std::move(accepted.socket), *listener_->tls));
    }
  }
}

void Connection::make_leg(std::unique_ptr<net::Leg> leg) {
  client_ = std::make_unique<net::AsyncLeg>(thread_.io(), std::move(leg), Side::client);
  client_->expires_at(deadline_);
}

// Floods end here: what is closed for its rate has no line in the access log, only its counters.
bool Connection::admit_address() {
  refused_ = admit(*listener_, peer_, to_tick(Clock::now()), listener_seat_);
  if (!refused_ || refused_->status != 0) return true;
  cells().handshake(refused_->result());
  cells().refuse(refused_->why);
  if (refused_->why == metrics::Refusal::denied) record(0, refused_->what);
  return false;
}

Connection::Step Connection::read_proxy_header() {
  if (!may_proxy(listener_->settings, peer_)) {
    cells().handshake(HandshakeResult::proxy_header);
    record(0, "not one of trusted_peers");
    co_return false;
  }
  auto header = co_await frontend::read_proxy_header(*client_);
  if (!header) {
    cells().handshake(HandshakeResult::proxy_header);
    record(0, header.error().side == Side::client && header.error().failure == Failure::garbage
                  ? header.error().what
                  : "PROXY header: " + header.error().what);
    co_return false;
  }
  told_ = std::move(header.value());
  if (told_.is_told()) peer_ = told_.source;
  if (!admit_address()) co_return false;
  if (listener_->tls != nullptr) make_leg(net::make_tls_server_leg(client_->release(), *listener_->tls));
  co_return true;
}

Connection::Step Connection::shake_tls() {
  // A place is for who has something to say: silent connections must not keep the others out.
  auto spoke = co_await client_->readable();
  if (!spoke) {
    cells().tls_handshake(tls_result(spoke.error()));
    record(0, "silent: no TLS handshake");
    co_return false;
  }
  Gate::Pass pass = co_await thread_.tls_gate().enter(thread_.io(), deadline_);
  if (!pass) {
    cells().tls_handshake(TlsResult::limit);
    record(0, "no turn for its TLS handshake within handshake_timeout");
    co_return false;
  }
  if (thread_.tls_gate().crowded())
    client_->expires_at(std::min(deadline_, Clock::now() + patience_when_crowded));
  auto shaken = co_await client_->handshake();
  client_->expires_at(deadline_);
  pass = Gate::Pass();
  if (shaken) {
    cells().tls_handshake(TlsResult::ok);
    if (!listener_->settings.tls->client_ca.empty())
      certificate_subject_ = dynamic_cast<const net::TlsLeg&>(client_->leg()).peer_subject();
    co_return true;
  }
  cells().tls_handshake(tls_result(shaken.error()));
  record(0, shaken.error().what);
  if (shaken.error().failure == Failure::tls) co_await client_->linger();  // so that the alert is read
  co_return false;
}

Connection::Step Connection::read_request() {
  std::string bytes;
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    if (bytes.size() >= ws::max_head_bytes) {
      ws::Rejection rejection{431, "the request head is longer than 16 KiB", {}};
      co_await answer(std::move(rejection), HandshakeResult::rejected);
      co_return false;
    }
    const std::size_t searched = bytes.size();
    auto got = co_await client_->read_onto(bytes);
    if (!got && got.error().failure == Failure::timeout) {
      ws::Rejection rejection{408, "no complete request within handshake_timeout", {}};
      co_await answer(std::move(rejection), HandshakeResult::client_timeout);
      co_return false;
    }
    if (!got) {
      leave("closed before a complete request");
      co_return false;
    }
    end = ws::find_head_end(bytes, searched);
  }
  auto head = ws::RequestHead::parse(std::string_view(bytes).substr(0, end));
  if (!head) {
    co_await answer(head.error(), HandshakeResult::rejected);
    co_return false;
  }
  head_ = std::move(head.value());
  behind_request_ = bytes.substr(end);
  co_return true;
}

bool Connection::choose_route() {
  auto request = ws::check_request(*head_);
  if (!request) {
    rejected_ = {std::move(request.error()), HandshakeResult::rejected};
    return false;
  }
  request_ = std::move(request.value());
  if (!refused_ && !around().budget->fits(1))
    refused_ = Refused{metrics::Refusal::descriptors, 503, "out of file descriptors", 2};
  if (refused_) return false;
  route_ = serving_->match(*listener_, *request_);
  if (route_ == nullptr) {
    rejected_ = {{404, "no route takes this host and path", {}}, HandshakeResult::no_route};
    return false;
  }
  refused_ = admit(*route_, peer_, *head_);
  if (!refused_ && !is_for_feed()) refused_ = admit(route_->destination->upstream->state(), upstream_place_);
  return !refused_;
}

asio::awaitable<void> Connection::answer_refusal() {
  if (rejected_) return answer(std::move(rejected_->answer), rejected_->result);
  return answer(*std::move(refused_));
}

Connection::Step Connection::authorise() {
  const RouteAuth& rules = *route_->auth;
  std::optional<Refusal> refusal;
  upstream_place_ = {};  // who is not known yet keeps none from those who are
  if (rules.settings.jwt)
    refusal = check_token(rules, *rules.cells[around().index], *head_, *request_, wall_time(), admission_);
  if (!refusal && rules.settings.forward_auth) {
    const config::ForwardAuth& service = *rules.settings.forward_auth;
    client_->expires_at(Clock::now() + service.timeout);
    Watch watch(thread_.watches(), *client_);
    std::string question = ws::build_question(*head_, for_service(forwarded_by(), rules, admission_),
                                              service.host, service.target);
    auth::Ruling ruling = co_await ask_service(thread_, route_->auth, std::move(question), &watch.give_up());
    if (watch.give_up().requested()) {
      leave("closed while its forward_auth service was asked");
      co_return false;
    }
    refusal = apply_ruling(std::move(ruling), service, admission_);
  }
  if (refusal) {
    co_await answer(std::move(refusal->answer), refusal->result, std::move(refusal->why));
    co_return false;
  }
  if (!is_for_feed()) refused_ = admit(route_->destination->upstream->state(), upstream_place_);
  if (!refused_) co_return true;
  Refused refused = *std::move(refused_);
  co_await answer(std::move(refused));
  co_return false;
}

Connection::Step Connection::tell_accepted(std::string answer_text) {
  client_->expires_at(std::max(deadline_, Clock::now() + std::chrono::seconds(5)));
  auto written = co_await client_->write_all(answer_text);
  if (!written) {
    leave("closed before its answer");
    co_return false;
  }
  took_ = Clock::now() - accepted_at_;
  cells().handshake(HandshakeResult::accepted);
  around().cells->handshake_duration.observe(took_);
  co_return true;
}

std::size_t Connection::emptiest_shard() const {
  const auto& shards = around().shards;
  const auto fewest =
      std::ranges::min_element(shards, {}, [](const session::Shard* shard) { return shard->load(); });
  return static_cast<std::size_t>(fewest - shards.begin());
}

metrics::SessionCells* Connection::open_sessions(std::size_t shard) const {
  const std::size_t pump_thread = around().shards[shard]->surroundings().pump_thread;
  return route_->open_sessions[serving_->index_of(*listener_)][pump_thread];
}

session::Story Connection::story() const {
  session::Story story;
  story.client = net::to_text(peer_);
  story.listener = listener_->settings.name;
  story.host = request_->host;
  story.path = request_->path;
  story.handshake_ms = static_cast<std::uint32_t>(std::chrono::duration_cast<Milliseconds>(took_).count());
  return story;
}

asio::awaitable<void> Connection::hand_over() {
  std::vector<ws::ExtraField> more;
  if (auto cookie = sticky_field(*destination_, seat_->backend(), id_)) more.push_back(*std::move(cookie));
  if (agreement_.subprotocol.empty() && !admission_.bearer.empty())
    more.push_back({"Sec-WebSocket-Protocol", admission_.bearer});
  std::string answer_text = ws::build_client_answer(answer_->head, agreement_, request_->key, more);
  const bool is_told = co_await tell_accepted(std::move(answer_text));
  if (!is_told) co_return;
  const std::size_t shard = emptiest_shard();
  auto handover = std::make_unique<session::Handover>(std::move(*seat_));
  handover->client = client_->release();
  handover->backend = backend_->release();
  handover->upstream_place = std::move(upstream_place_);
  handover->listener_seat = *std::move(listener_seat_);
  handover->route = route_->state;
  handover->open_sessions = open_sessions(shard);
  handover->early_to_backend = std::move(behind_request_);
  handover->early_to_client = std::move(answer_->behind);
  handover->allowed_rsv = agreement_.allowed_rsv;
  handover->token_lasts_100ms = token_lasts_100ms(admission_, wall_time());
  handover->id = id_;
  handover->continuation = keep_for_reroutes(
      *route_->reroute, agreement_, *head_, request_stem_, thread_.common_fields(),
      for_backends_ ? net::build_proxy_header(*for_backends_, config::ProxyVersion::v2) : "");
  handover->continuity = continuity_of(*route_->reroute, agreement_);
  handover->story = story();
  thread_.hand_over(shard, std::move(handover));
}

asio::awaitable<void> Connection::answer(ws::Rejection rejection, HandshakeResult result) {
  std::string detail = rejection.what;
  return answer(std::move(rejection), result, std::move(detail));
}

asio::awaitable<void> Connection::answer(ws::Rejection rejection, HandshakeResult result,
                                         std::string detail) {
  cells().handshake(result);
  record(rejection.status, std::move(detail));
  client_->expires_at(Clock::now() + std::chrono::seconds(2));
  const std::string text = ws::build_error_answer(rejection);
  auto written = co_await client_->write_all(text);
  if (written) co_await client_->linger();
}

asio::awaitable<void> Connection::answer(Refused refused) {
  cells().refuse(refused.why);
  ws::Rejection rejection{refused.status, std::move(refused.what), refused.retry_after()};
  co_await answer(std::move(rejection), refused.result());
}

ws::ForwardedBy Connection::forwarded_by() const {
  const auto trusts = [&](const config::Network& network) { return network.contains(peer_.get()); };
  ws::ForwardedBy by;
  by.client = net::host_text(peer_);
  by.host = std::string(head_->find("Host").value_or(""));
  by.transport = listener_->tls == nullptr && !told_.over_tls ? ws::Transport::plain : ws::Transport::tls;
  by.certificate_subject = certificate_subject_;
  by.trust = std::ranges::any_of(listener_->settings.trusted_peers, trusts) ? ws::Trust::trusted
                                                                            : ws::Trust::untrusted;
  by.edits = admission_.edits;
  return by;
}

void Connection::record(unsigned status, std::string detail) {
  if (!around().access->wants_access_records()) return;
  auto entry = std::make_unique<session::AccessRecord>();
  entry->status = status;
  entry->detail = std::move(detail);
  entry->story.client = net::to_text(peer_);
  entry->story.listener = listener_->settings.name;
  if (request_) {
    entry->story.host = request_->host;
    entry->story.path = request_->path;
  }
  if (route_ != nullptr) entry->route = route_->state->name();
  entry->duration = std::chrono::duration_cast<Milliseconds>(Clock::now() - accepted_at_);
  around().access->record(std::move(entry));
}

}  // namespace holdfast::frontend
