#pragma once
// What one connection to the demo's market asked for, in Binance's words: SUBSCRIBE, UNSUBSCRIBE,
// LIST_SUBSCRIPTIONS, SET_PROPERTY and GET_PROPERTY. No I/O.

#include <set>
#include <string>
#include <string_view>

namespace holdfast::server {

class MarketSession {
 public:
  /// `target` of the handshake: /stream?streams=a/b gives combined messages, /ws/a raw ones; without names
  /// nothing is subscribed to yet. Names that there aren't are left out.
  explicit MarketSession(std::string_view target);

  /// The answer to a text message; always one.
  [[nodiscard]] std::string answer(std::string_view text);
  [[nodiscard]] bool wants(const std::string& stream) const { return streams_.contains(stream); }
  /// An event as this connection gets it.
  [[nodiscard]] std::string told(std::string_view stream, std::string_view data) const;

 private:
  void add_known(std::string_view names);

  bool combined_ = false;
  std::set<std::string> streams_;
};

}  // namespace holdfast::server
