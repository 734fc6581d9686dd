#include "frontend/relay.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>
#include <vector>

#include "holdfast/ws/handshake.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr std::chrono::seconds longest{30};
constexpr std::size_t chunk_bytes = 16 * 1024;
constexpr std::size_t longest_chunk_head = 4 * 1024;

// Follows the body with Beast's parser only to know where it ends; the bytes themselves pass untouched.
class BodyFollower {
 public:
  explicit BodyFollower(std::string_view head) {
    parser_.body_limit(std::numeric_limits<std::uint64_t>::max());
    parser_.header_limit(static_cast<std::uint32_t>(ws::max_head_bytes));
    (void)follow(head);
  }

  /// How many of `bytes` belong to the answer.
  std::size_t follow(std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size() && !done()) {
      parser_.get().body().data = decoded_.data();
      parser_.get().body().size = decoded_.size();
      boost::system::error_code error;
      const std::size_t taken = parser_.put(asio::buffer(bytes.data() + used, bytes.size() - used), error);
      used += taken;
      if (error == http::error::need_buffer) error = {};
      if (error == http::error::need_more && taken == 0) {
        // A chunk head that came in pieces: the parser wants it whole. One that never ends is no chunk head.
        if (bytes.size() - used > longest_chunk_head) {
          broken_ = true;
          return used;
        }
        pending_.assign(bytes.substr(used));
        return bytes.size();
      }
      if (error && error != http::error::need_more) broken_ = true;
    }
    return used;
  }

  std::size_t follow_more(std::string_view bytes) {
    if (pending_.empty()) return follow(bytes);
    const std::string joined = std::exchange(pending_, {}) + std::string(bytes);
    const std::size_t before = joined.size() - bytes.size();
    return std::min(bytes.size(), follow(joined) - before);
  }

  [[nodiscard]] bool done() const { return broken_ || parser_.is_done(); }

 private:
  http::response_parser<http::buffer_body> parser_;
  std::array<char, 4096> decoded_;
  std::string pending_;
  bool broken_ = false;
};

}  // namespace

asio::awaitable<Result<void>> relay_answer(net::AsyncLeg& client, net::AsyncLeg& backend,
                                           dial::Answer answer) {
  const TimePoint deadline = Clock::now() + longest;
  client.expires_at(deadline);
  backend.expires_at(deadline);
  const std::string head = ws::build_relayed_head(answer.head);
  auto written = co_await client.write_all(head);
  if (!written || answer.head.body().end == ws::BodyEnd::none) co_return written;
  const auto follower = std::make_unique<BodyFollower>(answer.head.raw());
  std::string chunk = std::move(answer.behind);
  for (;;) {
    const std::size_t ours = follower->follow_more(chunk);
    written = co_await client.write_all(std::string_view(chunk).substr(0, ours));
    if (!written || follower->done()) co_return written;
    chunk.resize(chunk_bytes);
    auto got = co_await backend.read_some(std::as_writable_bytes(std::span(chunk)));
    if (!got) {
      // The end of the connection is the end of the body, or the client sees a short one as we do.
      if (got.error().failure == Failure::eof) co_return Result<void>{};
      co_return got.error();
    }
    chunk.resize(got.value());
  }
}

}  // namespace holdfast::frontend
