// The handshake of a client that is for a feed: we are the end point, no backend has a say.

#include <algorithm>

#include "frontend/connection.hpp"
#include "frontend/identity.hpp"

namespace holdfast::frontend {

namespace asio = boost::asio;
using metrics::HandshakeResult;

namespace {

// Browsers give up where they offer some and none is chosen.
std::string choose_subprotocol(const ws::ClientHandshake& request, const config::Feed& feed,
                               const std::string& bearer) {
  if (std::ranges::find(request.subprotocols, feed.source.subprotocol) != request.subprotocols.end())
    return feed.source.subprotocol;
  if (!request.subprotocols.empty()) return request.subprotocols.front();
  return bearer;
}

}  // namespace

asio::awaitable<void> Connection::join_feed() {
  const config::Feed& settings = *route_->feed_settings;
  const auto captures = route_->path.captures(request_->path);
  if (std::ranges::any_of(captures, [](const auto& each) { return config::is_dot_segment(each.second); })) {
    ws::Rejection rejection{400, "a channel can't be named \".\" or \"..\"", {}};
    co_await answer(std::move(rejection), HandshakeResult::rejected);
    co_return;
  }
  const bool speaks = !route_->dialect->is_opaque();
  auto entry = route_->dialect->read_entry(request_->path, request_->query);
  const std::uint32_t most = route_->feed->channels_per_client.load(std::memory_order_relaxed);
  if (!entry || entry->keys.size() > most) {
    ws::Rejection rejection{
        400, "the channels in this path or query can't be had: unusable names, or too many", {}};
    co_await answer(std::move(rejection), HandshakeResult::rejected);
    co_return;
  }
  if (!speaks) entry->keys = {config::fill(settings.channel, captures)};
  const bool packs = settings.compression == config::FeedCompression::deflate &&
                     ws::takes_lone_messages(request_->extensions);
  agreement_.subprotocol = choose_subprotocol(*request_, settings, admission_.bearer);
  agreement_.extensions = packs ? ws::lone_messages : "";
  std::string answer_text = ws::build_own_answer(agreement_, request_->key);
  const bool is_told = co_await tell_accepted(std::move(answer_text));
  if (!is_told) co_return;
  const std::size_t shard = emptiest_shard();
  auto joining = std::make_unique<feed::Joining>();
  joining->client = client_->release();
  joining->listener_seat = *std::move(listener_seat_);
  joining->route = route_->state;
  joining->open_sessions = open_sessions(shard);
  joining->story = story();
  joining->id = random_session_id(thread_.randomness());
  joining->early = std::move(behind_request_);
  joining->feed = route_->feed;
  joining->channels = std::move(entry->keys);
  joining->speaks = speaks;
  joining->form = feed::form_of(packs, entry->form == dialect::Form::slice);
  joining->token_lasts_100ms =
      token_lasts_100ms(admission_, std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()));
  around().shards[shard]->expect_one();
  around().audiences[shard]->send(std::move(joining));
}

}  // namespace holdfast::frontend
