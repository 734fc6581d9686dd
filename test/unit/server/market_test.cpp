#include "server/market.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>

#include "holdfast/ws/walker.hpp"
#include "server/market_session.hpp"
#include "server/market_walk.hpp"

namespace holdfast::server::test {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds opened{1'770'000'000'000};

std::vector<MarketEvent> minute(std::uint64_t seed, int steps) {
  MarketWalk walk(seed, opened);
  std::vector<MarketEvent> events;
  for (int n = 1; n <= steps; ++n) walk.advance(milliseconds(60'000) * n / steps, events);
  return events;
}

std::string text_of(const std::vector<MarketEvent>& events) {
  std::string text;
  for (const auto& event : events)
    text += std::to_string(event.at.count()) + event.stream + event.data + '\n';
  return text;
}

TEST_CASE("the same seed is the same market, however often it is asked") {
  CHECK(text_of(minute(7, 1)) == text_of(minute(7, 3000)));
  CHECK(text_of(minute(7, 1)) != text_of(minute(8, 1)));
}

TEST_CASE("each symbol has a ticker a second and trades that are numbered and move its price a little") {
  std::map<std::string, int> tickers;
  std::map<std::string, std::uint64_t> last_trade;
  std::map<std::string, double> price;
  milliseconds before{0};
  int trades = 0;
  for (const MarketEvent& event : minute(1, 60)) {
    CHECK(event.at >= before);
    before = event.at;
    CHECK(MarketWalk::has_stream(event.stream));
    const Json data = Json::parse(event.data);
    CHECK(data["E"] == opened.count() + event.at.count());
    const std::string symbol = data["s"];
    if (data["e"] == "24hrTicker") {
      ++tickers[symbol];
      CHECK(std::stod(data["l"].get<std::string>()) <= std::stod(data["c"].get<std::string>()));
      CHECK(std::stod(data["h"].get<std::string>()) >= std::stod(data["c"].get<std::string>()));
      CHECK(std::stod(data["b"].get<std::string>()) <= std::stod(data["a"].get<std::string>()));
      continue;
    }
    CHECK(data["e"] == "trade");
    ++trades;
    const std::uint64_t number = data["t"];
    if (last_trade.contains(symbol)) CHECK(number == last_trade[symbol] + 1);
    last_trade[symbol] = number;
    const double now = std::stod(data["p"].get<std::string>());
    CHECK(now > 0);
    CHECK(std::stod(data["q"].get<std::string>()) > 0);
    if (price.contains(symbol)) CHECK(std::abs(now / price[symbol] - 1) < 0.002);
    price[symbol] = now;
  }
  CHECK(tickers.size() == MarketWalk::symbol_count);
  for (const auto& [symbol, count] : tickers) CHECK(count == 60);
  // 20 symbols of 8 to 1.5 trades a second.
  CHECK(trades > 60 * 20 * 3);
  CHECK(trades < 60 * 20 * 7);
}

TEST_CASE("a session is answered as Binance answers") {
  struct Case {
    const char* said;
    const char* answer;
  };
  const Case cases[] = {
      {R"({"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@ticker"],"id":1})",
       R"({"result":null,"id":1})"},
      {R"({"method":"LIST_SUBSCRIPTIONS","id":"x"})",
       R"({"result":["btcusdt@trade","ethusdt@ticker"],"id":"x"})"},
      {R"({"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":null})", R"({"result":null,"id":null})"},
      {R"({"method":"LIST_SUBSCRIPTIONS"})", R"({"result":["ethusdt@ticker"],"id":null})"},
      {R"({"method":"GET_PROPERTY","params":["combined"],"id":4})", R"({"result":true,"id":4})"},
      {R"({"method":"SET_PROPERTY","params":["combined",false],"id":5})", R"({"result":null,"id":5})"},
      {R"({"method":"SET_PROPERTY","params":["combined",1],"id":6})",
       R"({"error":{"code":1,"msg":"Invalid value type: expected Boolean"},"id":6})"},
      {R"({"method":"SET_PROPERTY","params":["colour",true],"id":7})",
       R"({"error":{"code":0,"msg":"Unknown property"},"id":7})"},
      {R"({"method":"SUBSCRIBE","params":["ltcusdt@trade","nosuch@trade"],"id":8})",
       R"({"error":{"code":2,"msg":"Invalid request: unknown stream nosuch@trade"},"id":8})"},
      {R"({"method":"SUBSCRIBE","params":[3],"id":9})",
       R"({"error":{"code":2,"msg":"Invalid request: params must be strings"},"id":9})"},
      {R"({"method":"SUBSCRIBE","params":"btcusdt@trade","id":10})",
       R"({"error":{"code":2,"msg":"Invalid request: params must be an array"},"id":10})"},
      {R"({"method":"LIST_SUBSCRIPTIONS","id":11})", R"({"result":["ethusdt@ticker"],"id":11})"},
      {R"({"params":[],"id":12})",
       R"({"error":{"code":2,"msg":"Invalid request: missing field `method`"},"id":null})"},
      {R"({"method":"SUBSCRIBE","params":[],"id":{}})",
       R"({"error":{"code":2,"msg":"Invalid request: request ID must be an integer or a string"},"id":null})"},
      {R"({"method":)", R"({"error":{"code":3,"msg":"Invalid JSON"},"id":null})"},
      {"\xff", R"({"error":{"code":3,"msg":"Invalid JSON"},"id":null})"},
      {"[]", R"({"error":{"code":2,"msg":"Invalid request: missing field `method`"},"id":null})"},
  };
  MarketSession session("/stream");
  for (const Case& each : cases) {
    CAPTURE(each.said);
    CHECK(session.answer(each.said) == each.answer);
  }
  const std::string buy = session.answer(R"({"method":"BUY","id":13})");
  CHECK(buy.find(R"("code":2,"msg":"Invalid request: unknown variant `BUY`)") != std::string::npos);
}

TEST_CASE("a session's address says which streams, and in which form") {
  const MarketSession combined("/stream?streams=btcusdt@trade/nosuch@trade/ethusdt@ticker");
  CHECK(combined.wants("btcusdt@trade"));
  CHECK(combined.wants("ethusdt@ticker"));
  CHECK_FALSE(combined.wants("nosuch@trade"));
  CHECK(combined.told("a@trade", "{}") == R"({"stream":"a@trade","data":{}})");
  const MarketSession raw("/ws/btcusdt@trade?x=1");
  CHECK(raw.wants("btcusdt@trade"));
  CHECK_FALSE(raw.wants("ethusdt@ticker"));
  CHECK(raw.told("btcusdt@trade", "{}") == "{}");
  CHECK_FALSE(MarketSession("/stream").wants("btcusdt@trade"));
}

// A client that blocks, for a few messages.
class Client {
 public:
  Client(const std::string& address, const std::string& target) {
    std::string why;
    const auto to = config::parse_address(address, config::AddressUse::backend, why)->sockets.front();
    descriptor_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{10, 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    REQUIRE(connect(descriptor_, to.get(), to.length) == 0);
    send_all("GET " + target +
             " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    while (in_.find("\r\n\r\n") == std::string::npos) receive();
    CHECK(in_.starts_with("HTTP/1.1 101"));
    in_.erase(0, in_.find("\r\n\r\n") + 4);
  }
  ~Client() { close(descriptor_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void say(const std::string& text) {
    std::string frame(ws::max_header_bytes, '\0');
    const auto room = std::as_writable_bytes(std::span(frame)).first<ws::max_header_bytes>();
    frame.resize(
        ws::write_header(room, {.opcode = ws::Opcode::text, .masked = true, .payload = text.size()}));
    send_all(frame + text);  // masked with zeros
  }

  // The next frame's payload; messages are whole frames here.
  std::string hear() {
    for (;;) {
      const auto bytes = std::as_bytes(std::span(in_));
      const ws::Step step = walker_.next(bytes, {});
      REQUIRE(step.kind != ws::StepKind::violation);
      if (step.kind != ws::StepKind::need_more) {
        heard_ += in_.substr(step.starts_frame ? step.header.size : 0,
                             step.size - (step.starts_frame ? step.header.size : 0));
        in_.erase(0, step.size);
        if (walker_.at_message_boundary()) return std::exchange(heard_, {});
        continue;
      }
      receive();
    }
  }

 private:
  void send_all(const std::string& bytes) {
    REQUIRE(send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }
  void receive() {
    char bytes[4096];
    const ssize_t size = recv(descriptor_, bytes, sizeof bytes, 0);
    REQUIRE(size > 0);
    in_.append(bytes, static_cast<std::size_t>(size));
  }

  int descriptor_ = -1;
  ws::Walker walker_{ws::Sender::server};
  std::string in_;
  std::string heard_;
};

TEST_CASE("the embedded market acks, then sends every trade of what was asked for to each connection") {
  auto market = MarketSource::start(3);
  REQUIRE(market.has_value());
  Client one(market.value()->address(), "/stream");
  Client two(market.value()->address(), "/ws/btcusdt@trade");
  one.say(R"({"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1})");
  CHECK(one.hear() == R"({"result":null,"id":1})");
  const Json first = Json::parse(one.hear());
  CHECK(first["stream"] == "btcusdt@trade");
  const std::uint64_t number = first["data"]["t"];
  const Json second = Json::parse(one.hear());
  CHECK(second["data"]["t"] == number + 1);
  for (;;) {
    const Json raw = Json::parse(two.hear());
    REQUIRE(raw["t"] <= number);
    if (raw["t"] == number) break;
  }
  market.value()->stop();
}

}  // namespace
}  // namespace holdfast::server::test
