#include "server/market_walk.hpp"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>

namespace holdfast::server {

namespace {

constexpr std::array<std::string_view, MarketWalk::symbol_count> names = {
    "btcusdt",  "ethusdt",  "bnbusdt",  "solusdt", "xrpusdt", "dogeusdt", "adausdt",
    "trxusdt",  "avaxusdt", "linkusdt", "dotusdt", "ltcusdt", "bchusdt",  "uniusdt",
    "atomusdt", "etcusdt",  "xlmusdt",  "filusdt", "aptusdt", "nearusdt"};
constexpr std::array<double, MarketWalk::symbol_count> opening_prices = {
    64'000, 3'400, 580, 145, 0.52, 0.12, 0.39, 0.13, 27, 14, 6.1, 82, 390, 8.2, 6.5, 22, 0.09, 4.3, 7.2, 5.1};

constexpr double busiest_trades_a_second = 8;
constexpr double quietest_trades_a_second = 1.5;
constexpr double step = 2e-4;  // a trade moves the price by about so much of itself
constexpr double usual_turnover = 900;
constexpr double ticker_every_ms = 1000;

std::string upper(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = static_cast<char>(c & ~0x20);
  return text;
}

// Prices and quantities are decimal strings with eight places.
std::string decimal(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "\"%.8f\"", value);
  return text;
}

// The smallest step of a price: five significant digits at least.
double rounded(double price) {
  const double tick = price >= 100 ? 0.01 : price >= 1 ? 0.0001 : 0.000001;
  return std::max(tick, std::round(price / tick) * tick);
}

void field(std::string& out, const char* name, const std::string& value) {
  out += out.size() == 1 ? "\"" : ",\"";
  out += name;
  out += "\":";
  out += value;
}

std::string text_of(std::string_view text) {
  return '"' + std::string(text) + '"';
}

}  // namespace

const std::array<std::string_view, MarketWalk::symbol_count>& MarketWalk::symbols() noexcept {
  return names;
}

bool MarketWalk::has_stream(std::string_view name) noexcept {
  const auto at = name.find('@');
  if (at == std::string_view::npos) return false;
  const std::string_view kind = name.substr(at + 1);
  return (kind == "trade" || kind == "ticker") &&
         std::find(names.begin(), names.end(), name.substr(0, at)) != names.end();
}

MarketWalk::MarketWalk(std::uint64_t seed, std::chrono::milliseconds opened)
    : random_(seed), opened_(opened) {
  for (std::size_t n = 0; n < symbol_count; ++n) {
    Symbol& symbol = all_[n];
    const double share = static_cast<double>(n) / (symbol_count - 1);
    symbol.opening = rounded(opening_prices[n] * (0.9 + 0.2 * uniform()));
    symbol.price = symbol.high = symbol.low = symbol.opening;
    symbol.first_trade = 1'000'000 * (n + 1);
    symbol.trades_a_second =
        busiest_trades_a_second + (quietest_trades_a_second - busiest_trades_a_second) * share;
    schedule_trade(symbol, 0);
    symbol.next_ticker_ms = ticker_every_ms * (static_cast<double>(n) + 1) / symbol_count;  // not all at once
  }
}

double MarketWalk::uniform() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

void MarketWalk::schedule_trade(Symbol& symbol, double after_ms) {
  symbol.next_trade_ms = after_ms - std::log(1 - uniform()) * 1000 / symbol.trades_a_second;
}

void MarketWalk::advance(std::chrono::milliseconds until, std::vector<MarketEvent>& events) {
  const auto end = static_cast<double>(until.count());
  const auto next = [](const Symbol& symbol) {
    return std::min(symbol.next_trade_ms, symbol.next_ticker_ms);
  };
  for (;;) {
    const auto first = std::min_element(all_.begin(), all_.end(),
                                        [&](const Symbol& a, const Symbol& b) { return next(a) < next(b); });
    const double at = next(*first);
    if (at > end) return;
    const auto number = static_cast<std::size_t>(first - all_.begin());
    const auto at_ms = static_cast<std::int64_t>(at);
    const std::chrono::milliseconds when(at_ms);
    if (at == first->next_trade_ms) {
      events.push_back({when, std::string(names[number]) + "@trade", trade(number, at_ms)});
      schedule_trade(*first, at);
    } else {
      events.push_back({when, std::string(names[number]) + "@ticker", ticker(number, at_ms)});
      first->next_ticker_ms += ticker_every_ms;
    }
  }
}

std::string MarketWalk::trade(std::size_t number, std::int64_t at_ms) {
  Symbol& symbol = all_[number];
  const double bell = uniform() + uniform() + uniform() - 1.5;  // near enough to a normal distribution
  symbol.price = rounded(symbol.price * std::exp(step * 2 * bell));
  symbol.last_quantity = -std::log(1 - uniform()) * usual_turnover / symbol.price;
  symbol.last_quantity = std::max(1e-5, std::round(symbol.last_quantity * 1e5) / 1e5);
  symbol.high = std::max(symbol.high, symbol.price);
  symbol.low = std::min(symbol.low, symbol.price);
  symbol.volume += symbol.last_quantity;
  symbol.turnover += symbol.last_quantity * symbol.price;
  ++symbol.trades;
  const std::string time = std::to_string(opened_.count() + at_ms);
  std::string out = "{";
  field(out, "e", text_of("trade"));
  field(out, "E", time);
  field(out, "s", text_of(upper(names[number])));
  field(out, "t", std::to_string(symbol.first_trade + symbol.trades - 1));
  field(out, "p", decimal(symbol.price));
  field(out, "q", decimal(symbol.last_quantity));
  field(out, "T", time);
  field(out, "m", uniform() < 0.5 ? "true" : "false");
  field(out, "M", "true");
  return out + "}";
}

std::string MarketWalk::ticker(std::size_t number, std::int64_t at_ms) {
  const Symbol& symbol = all_[number];
  const double change = symbol.price - symbol.opening;
  char percent[32];
  std::snprintf(percent, sizeof percent, "\"%.3f\"", change / symbol.opening * 100);
  const double spread = symbol.price * step / 2;
  std::string out = "{";
  field(out, "e", text_of("24hrTicker"));
  field(out, "E", std::to_string(opened_.count() + at_ms));
  field(out, "s", text_of(upper(names[number])));
  field(out, "p", decimal(change));
  field(out, "P", percent);
  field(out, "w", decimal(symbol.volume > 0 ? symbol.turnover / symbol.volume : symbol.price));
  field(out, "x", decimal(symbol.opening));
  field(out, "c", decimal(symbol.price));
  field(out, "Q", decimal(symbol.last_quantity));
  field(out, "b", decimal(rounded(symbol.price - spread)));
  field(out, "B", decimal(symbol.last_quantity * 3));
  field(out, "a", decimal(rounded(symbol.price + spread)));
  field(out, "A", decimal(symbol.last_quantity * 2));
  field(out, "o", decimal(symbol.opening));
  field(out, "h", decimal(symbol.high));
  field(out, "l", decimal(symbol.low));
  field(out, "v", decimal(symbol.volume));
  field(out, "q", decimal(symbol.turnover));
  field(out, "O", std::to_string(opened_.count()));
  field(out, "C", std::to_string(opened_.count() + at_ms));
  field(out, "F", std::to_string(symbol.trades > 0 ? static_cast<std::int64_t>(symbol.first_trade) : -1));
  field(out, "L",
        std::to_string(symbol.trades > 0 ? static_cast<std::int64_t>(symbol.first_trade + symbol.trades - 1)
                                         : -1));
  field(out, "n", std::to_string(symbol.trades));
  return out + "}";
}

}  // namespace holdfast::server
