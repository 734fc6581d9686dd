// An HTTP request, its answer's status, and what its body contains.

#include <algorithm>

#include "probe/body.hpp"
#include "probe/once.hpp"

namespace holdfast::probe {

namespace asio = boost::asio;

namespace {

constexpr std::size_t read_chunk_bytes = 4096;

asio::awaitable<Result<void>> find_in_body(net::AsyncLeg& leg, std::shared_ptr<const Target> target,
                                           dial::Answer answer) {
  std::string& bytes = answer.behind;
  bool ended = false;
  for (;;) {
    const PartOfBody part = body_of(answer.head.body(), bytes);
    if (target->expected.found_in(part.text)) co_return Result<void>{};
    const bool too_long = bytes.size() >= most_body_bytes;
    if (part.whole || ended || too_long) {
      co_return failed(Failure::garbage, too_long ? "what is expected is not in the first 64 KiB of the body"
                                                  : "the body lacks what is expected");
    }
    const std::size_t before = bytes.size();
    bytes.resize(before + read_chunk_bytes);
    auto got = co_await leg.read_some(std::as_writable_bytes(std::span(bytes)).subspan(before));
    if (!got && got.error().failure != Failure::eof) {
      co_return failed(got.error().failure, "the body: " + got.error().what);
    }
    ended = !got;
    bytes.resize(before + (got ? got.value() : 0));
  }
}

}  // namespace

asio::awaitable<Result<void>> ask_http(net::AsyncLeg& leg, std::shared_ptr<const Target> target) {
  std::string request = target->request + "\r\n";
  auto answer = co_await dial::exchange(leg, std::move(request));
  if (!answer) co_return answer.error();
  const unsigned status = answer.value().head.status();
  const bool expected = std::ranges::any_of(target->statuses, [status](const config::StatusRange& range) {
    return status >= range.low && status <= range.high;
  });
  if (!expected) co_return failed(Failure::garbage, "answered " + std::to_string(status));
  if (target->settings.expect_body.empty()) co_return Result<void>{};
  dial::Answer head_and_rest = std::move(answer.value());
  auto found = co_await find_in_body(leg, target, std::move(head_and_rest));
  co_return found;
}

}  // namespace holdfast::probe
