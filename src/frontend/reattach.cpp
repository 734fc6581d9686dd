#include "frontend/reattach.hpp"

#include <utility>

#include "frontend/identity.hpp"
#include "frontend/proxying.hpp"
#include "frontend/reach.hpp"
#include "holdfast/ws/continuation.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using session::AttemptReply;
using session::AttemptResult;

namespace {

std::string request_of(const Way& way, std::string_view key) {
  const session::Attempt& attempt = *way.attempt;
  const std::string_view secret = way.reroute == nullptr ? "" : std::string_view(way.reroute->secret);
  const ws::ExtraField fields[] = {session_field(attempt.id),
                                   reroute_field(attempt.id, attempt.reroutes, text(attempt.cause), secret,
                                                 std::chrono::system_clock::now())};
  return ws::finish_request(attempt.continuation->request(), key, fields);
}

std::unique_ptr<AttemptReply> reply_of(const Way& way, AttemptResult result, std::string what) {
  auto reply = reply_to(*way.attempt, result, std::move(what));
  reply->tried = &way.seat.backend();
  return reply;
}

// What a backend has worked on in vain; a refused connection was its kernel's.
void charge(const Way& way, Failure failure) {
  if (failure == Failure::refused || failure == Failure::internal || failure == Failure::cancelled) return;
  way.destination->upstream->state().retries().reroute_failed(Clock::now());
}

// Garbage instead of a head is an answer, though a bad one.
AttemptResult result_of(const Error& error) {
  return error.failure == Failure::garbage ? AttemptResult::misfit : AttemptResult::no_way;
}

// Anything but 101: never relayed, the client is in the middle of its session.
std::unique_ptr<AttemptReply> judge_refusal(const SetupThread& thread, Way& way, unsigned status) {
  note_answer(thread, *way.destination, way.seat, status);
  charge(way, Failure::garbage);
  const bool final = status == 401 || status == 403;
  return reply_of(way, final ? AttemptResult::refused : AttemptResult::misfit,
                  "answered " + std::to_string(status));
}

}  // namespace

std::unique_ptr<AttemptReply> reply_to(const session::Attempt& attempt, AttemptResult result,
                                       std::string what) {
  auto reply = std::make_unique<AttemptReply>();
  reply->session = attempt.session;
  reply->number = attempt.number;
  reply->result = result;
  reply->what = std::move(what);
  return reply;
}

asio::awaitable<std::unique_ptr<AttemptReply>> reattach(SetupThread& thread, Way way) {
  const session::Continuation& continuation = *way.attempt->continuation;
  upstream::Backend& backend = way.seat.backend();
  const upstream::Dialling until_answered = std::move(way.dialling);
  if (!thread.surroundings().budget->fits(1)) {
    co_return reply_of(way, AttemptResult::no_way, "out of file descriptors");
  }
  const std::string key = random_key(thread.randomness());
  std::string request = request_of(way, key);
  std::shared_ptr<const config::Address> address(way.destination,
                                                 &way.destination->settings_of(backend)->address);
  std::string first_words =
      proxy_header_again(continuation.proxy_header(), way.destination->settings.proxy_protocol);
  auto reached = co_await reach(thread, way.destination, std::move(address), std::move(first_words),
                                std::move(request), way.attempt->deadline, nullptr);
  if (!reached) {
    note_failure(thread, *way.destination, backend, reached.error());
    charge(way, reached.error().failure);
    co_return reply_of(way, result_of(reached.error()), reached.error().what);
  }
  const dial::Answer& answer = reached.value().answer;
  if (answer.head.status() != 101) co_return judge_refusal(thread, way, answer.head.status());
  const ws::Agreement first{std::string(continuation.subprotocol()), std::string(continuation.extensions()),
                            0};
  const auto fits = ws::check_later_answer(answer.head, first, key);
  if (!fits) {
    note_misfit(backend, fits.error().what);
    charge(way, Failure::garbage);
    co_return reply_of(way, AttemptResult::misfit, fits.error().what);
  }
  way.destination->upstream->succeeded(way.seat);
  if (const auto& sticky = way.destination->sticky)
    way.destination->upstream->state().moved().note(sticky->session_of(way.attempt->id.bytes),
                                                    backend.address());
  auto reply = reply_of(way, AttemptResult::ready, {});
  reply->leg = reached.value().leg->release();
  reply->early = answer.behind;
  reply->seat = std::move(way.seat);
  co_return reply;
}

}  // namespace holdfast::frontend
