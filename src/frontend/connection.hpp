#pragma once
// One accepted connection up to its session or its answer: TLS, request, route, pick, dial, 101, hand-over.
// Read `serve` first: it is the handshake from top to bottom. Private to frontend.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/admission.hpp"
#include "frontend/authorising.hpp"
#include "frontend/seating.hpp"
#include "holdfast/frontend/setup_thread.hpp"
#include "holdfast/net/async_leg.hpp"
#include "holdfast/net/proxy_header.hpp"

namespace holdfast::frontend {

class Connection {
 public:
  Connection(SetupThread& thread, Accepted accepted);

  using Step = boost::asio::awaitable<bool>;  ///< false: it has ended here, with its answer if one was due

  [[nodiscard]] bool is_open() const noexcept { return client_ != nullptr; }
  [[nodiscard]] bool has_proxy_header() const noexcept {
    return listener_->settings.proxy_protocol != config::Listener::ProxyHeader::none;
  }
  [[nodiscard]] Step read_proxy_header();
  [[nodiscard]] bool is_tls() const noexcept { return listener_->tls != nullptr; }
  [[nodiscard]] Step shake_tls();
  [[nodiscard]] Step read_request();
  /// False: answer_refusal.
  [[nodiscard]] bool choose_route();
  [[nodiscard]] boost::asio::awaitable<void> answer_refusal();
  [[nodiscard]] bool needs_authorising() const noexcept { return route_->auth != nullptr; }
  [[nodiscard]] Step authorise();
  [[nodiscard]] bool is_for_feed() const noexcept { return route_->feed != nullptr; }
  [[nodiscard]] boost::asio::awaitable<void> join_feed();
  [[nodiscard]] Step find_backend();
  [[nodiscard]] boost::asio::awaitable<void> hand_over();

 private:
  /// How a try of one backend came out.
  enum class Try : std::uint8_t { accepted, failed, over };
  /// What is known while a backend is looked for.
  struct Search {
    TimePoint deadline;
    std::optional<std::uint64_t> hash_key;
    std::vector<const upstream::Backend*> tried;
    std::optional<Error> last;  ///< of the one tried last
    Seated::Why why{};          ///< nobody has given a seat
  };
  /// Another backend's; the first one may be waited for.
  [[nodiscard]] Seated take_seat(const Search& search) const;
  /// Circuit breaker and retry budget. False with `refused_` set: that is the client's answer.
  [[nodiscard]] bool may_dial(const Search& search);
  [[nodiscard]] boost::asio::awaitable<Try> try_backend(upstream::Seat& seat, Search& search,
                                                        net::GiveUp& give_up);
  /// What a load balancer in front of us has said, or what we say to a backend in its place.
  [[nodiscard]] net::ProxyHeader proxy_header() const;
  /// What every try sends: settles the session's id and what is offered.
  void write_request();

  /// Writes the 101 and counts it. False: the client is gone.
  [[nodiscard]] Step tell_accepted(std::string answer_text);
  /// The pump thread that gets this client.
  [[nodiscard]] std::size_t emptiest_shard() const;
  [[nodiscard]] metrics::SessionCells* open_sessions(std::size_t shard) const;
  [[nodiscard]] session::Story story() const;  ///< after tell_accepted

  /// Writes an answer of ours, lingers so that it is read, and records it.
  [[nodiscard]] boost::asio::awaitable<void> answer(ws::Rejection rejection, metrics::HandshakeResult result);
  /// The same, where the log is to know more than the client.
  [[nodiscard]] boost::asio::awaitable<void> answer(ws::Rejection rejection, metrics::HandshakeResult result,
                                                    std::string detail);
  [[nodiscard]] boost::asio::awaitable<void> answer_failure(const Search& search);
  /// Counts and records a client that went away.
  void leave(std::string detail);
  /// As soon as the client's address is known. False: it is closed without a word.
  [[nodiscard]] bool admit_address();
  [[nodiscard]] boost::asio::awaitable<void> answer(Refused refused);
  void make_leg(std::unique_ptr<net::Leg> leg);
  void record(unsigned status, std::string detail);
  [[nodiscard]] ws::ForwardedBy forwarded_by() const;
  [[nodiscard]] const SetupThread::Surroundings& around() const noexcept { return thread_.surroundings(); }
  [[nodiscard]] metrics::ListenerCells& cells() const noexcept {
    return *listener_->state->cells[around().index];
  }

  SetupThread& thread_;
  std::shared_ptr<const Serving> serving_;
  const ListenerEntry* listener_;  ///< null: a snapshot without it, the connection is closed
  const RouteEntry* route_ = nullptr;
  std::shared_ptr<const dial::Destination> destination_;  ///< the route's, or a later one's after a wait
  config::SocketAddress peer_;  ///< the client's, also where a load balancer has connected for it
  net::ProxyHeader told_;       ///< by that one
  TimePoint accepted_at_;
  Clock::duration took_{};                              ///< from then to its 101
  TimePoint deadline_;                                  ///< handshake_timeout from accept
  std::optional<session::ListenerSeat> listener_seat_;  ///< nothing: there was none left
  std::optional<Refused> refused_;                      ///< to be answered once its request is here
  struct Rejected {
    ws::Rejection answer;
    metrics::HandshakeResult result;
  };
  std::optional<Rejected> rejected_;  ///< no route for its request
  std::unique_ptr<net::AsyncLeg> client_;

  std::optional<ws::RequestHead> head_;
  std::optional<ws::ClientHandshake> request_;
  std::string behind_request_;
  Admission admission_;
  session::SessionId id_;
  std::string certificate_subject_;               ///< of the client's; empty = it has shown none
  std::string request_stem_;                      ///< also for reroutes
  std::string first_request_;                     ///< for every backend that is tried, but for key and end
  std::optional<net::ProxyHeader> for_backends_;  ///< what they are told in front of it

  upstream::Circuit::Place upstream_place_;
  upstream::Circuit::Place pending_;  ///< until its backend has answered

  // The backend that has accepted.
  std::optional<upstream::Seat> seat_;
  std::unique_ptr<net::AsyncLeg> backend_;
  std::optional<dial::Answer> answer_;
  ws::Agreement agreement_;  ///< what the client is told
};

[[nodiscard]] boost::asio::awaitable<void> serve(SetupThread& thread, std::unique_ptr<Connection> connection);

}  // namespace holdfast::frontend
