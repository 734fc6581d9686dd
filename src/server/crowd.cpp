#include "server/crowd.hpp"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <string_view>
#include <thread>
#include <vector>

#include "server/market_walk.hpp"

namespace holdfast::server {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

// So that they arrive within seconds and hold nobody up.
constexpr std::size_t arrivals_per_turn = 20;
constexpr std::chrono::milliseconds turn{10};
// A sign of life that needs no reading: a pong of nothing that nobody has asked for (RFC 6455 section 5.5.3).
constexpr std::array<char, 6> pong{'\x8a', '\x80', 1, 2, 3, 4};
constexpr std::chrono::seconds between_pongs{10};

std::string request(std::size_t number) {
  const std::string symbol(MarketWalk::symbols()[number % MarketWalk::symbols().size()]);
  return "GET /ws/" + symbol + "@ticker/" + symbol +
         "@trade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

}  // namespace

class Crowd::Hall {
 public:
  Hall(const std::string& address, std::size_t count) : count_(count) {
    const std::size_t colon = address.rfind(':');
    where_ = tcp::endpoint(asio::ip::make_address(address.substr(0, colon)),
                           static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1))));
    guests_.reserve(count);
    arrive();
    stay();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Hall() {
    io_.stop();
    thread_.join();
  }

 private:
  struct Guest {
    Guest(asio::io_context& io, std::size_t number) : socket(io), words(request(number)) {}
    tcp::socket socket;
    std::string words;
    bool is_in = false;
  };

  void arrive() {
    for (std::size_t n = 0; n < arrivals_per_turn && guests_.size() < count_; ++n) {
      Guest& guest = *guests_.emplace_back(std::make_unique<Guest>(io_, guests_.size()));
      guest.socket.async_connect(where_, [this, &guest](const error_code& error) {
        if (error) return;
        asio::async_write(guest.socket, asio::buffer(guest.words),
                          [this, &guest](const error_code& why, std::size_t) {
                            if (why) return;
                            guest.is_in = true;
                            listen(guest);
                          });
      });
    }
    if (guests_.size() == count_) return;
    door_.expires_after(turn);
    door_.async_wait([this](const error_code& error) {
      if (!error) arrive();
    });
  }
  void listen(Guest& guest) {
    guest.socket.async_read_some(asio::buffer(heard_), [this, &guest](const error_code& error, std::size_t) {
      guest.is_in = !error;
      if (!error) listen(guest);
    });
  }
  void stay() {
    clock_.expires_after(between_pongs);
    clock_.async_wait([this](const error_code& error) {
      if (error) return;
      error_code ignored;
      for (const auto& guest : guests_) {
        if (guest->is_in) guest->socket.write_some(asio::buffer(pong), ignored);
      }
      stay();
    });
  }

  asio::io_context io_{1};
  asio::steady_timer door_{io_};
  asio::steady_timer clock_{io_};
  tcp::endpoint where_;
  std::size_t count_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::array<char, 16UL * 1024> heard_{};  // by all
  std::thread thread_;
};

Crowd::Crowd(const std::string& address, std::size_t count) : hall_(std::make_unique<Hall>(address, count)) {}
Crowd::~Crowd() = default;

}  // namespace holdfast::server
