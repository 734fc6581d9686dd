#pragma once
// A market that never was: 20 symbols on a seeded random walk, told as Binance tells its spot market. Same
// seed, same events, whenever they are asked for. No I/O, no clock.
//
// Streams: `SYMBOL@trade`, Poisson, several a second; `SYMBOL@ticker`, one a second.

#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::server {

struct MarketEvent {
  std::chrono::milliseconds at;  ///< since the market's opening
  std::string stream;            ///< "btcusdt@trade"
  std::string data;              ///< JSON, without the envelope of combined streams
};

class MarketWalk {
 public:
  static constexpr std::size_t symbol_count = 20;

  /// `opened`: since the Unix epoch, what the events' times begin with.
  MarketWalk(std::uint64_t seed, std::chrono::milliseconds opened);

  /// Lower-case, as they stand in the names of streams.
  [[nodiscard]] static const std::array<std::string_view, symbol_count>& symbols() noexcept;
  [[nodiscard]] static bool has_stream(std::string_view name) noexcept;

  /// Appends what happened since the last call and until `until`, in order of time.
  void advance(std::chrono::milliseconds until, std::vector<MarketEvent>& events);

 private:
  struct Symbol {
    double price = 0;
    double opening = 0;
    double high = 0;
    double low = 0;
    double volume = 0;
    double turnover = 0;
    double last_quantity = 0;
    std::uint64_t first_trade = 0;
    std::uint64_t trades = 0;
    double trades_a_second = 0;
    double next_trade_ms = 0;
    double next_ticker_ms = 0;
  };

  [[nodiscard]] double uniform();
  void schedule_trade(Symbol& symbol, double after_ms);
  [[nodiscard]] std::string trade(std::size_t number, std::int64_t at_ms);
  [[nodiscard]] std::string ticker(std::size_t number, std::int64_t at_ms);

  std::mt19937_64 random_;
  std::chrono::milliseconds opened_;
  std::array<Symbol, symbol_count> all_;
};

}  // namespace holdfast::server
