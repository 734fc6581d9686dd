#pragma once
// The keys that TLS session tickets are sealed with: one set for the whole process, shared by all setup
// threads, listeners and snapshots, so that a client may resume on any thread and after any reload. They
// rotate: who steals them can read the traffic of a few hours, not of the process's whole life.
//
// Thread: any. Outlives every context that it is installed in.

#include <openssl/ssl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "holdfast/base/clock.hpp"

namespace holdfast::net {

class TicketKeys {
 public:
  /// How long a client may resume with a ticket.
  static constexpr std::chrono::hours lifetime{2};
  /// How long tickets are sealed with one key; for `lifetime` longer it opens them.
  static constexpr std::chrono::hours period{1};

  /// `now` is asked at each use. Throws std::runtime_error when there are no random bytes for a first key.
  explicit TicketKeys(std::function<TimePoint()> now = Clock::now);
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;
  ~TicketKeys();

  void install(SSL_CTX* context);

 private:
  struct Key;
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, int sealing);
  // These three with the mutex; they return what OpenSSL's callback does.
  int seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);
  int open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);
  void rotate();

  std::function<TimePoint()> now_;
  std::mutex mutex_;
  std::vector<Key> keys_;  ///< the newest last
};

}  // namespace holdfast::net
