// The server's side of a WebSocket handshake, for the bench's echo backend and its feed source.
#pragma once

#include <openssl/evp.h>

#include <string>
#include <string_view>

namespace holdfast::bench {

inline std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  unsigned char encoded[32];
  const int length = EVP_EncodeBlock(encoded, digest, static_cast<int>(size));
  return {encoded, encoded + length};
}

// The 24 characters of Sec-WebSocket-Key, or nothing. Field names are case-insensitive.
inline std::string key_of(const std::string& head) {
  std::string lower = head;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  constexpr std::string_view field = "\r\nsec-websocket-key:";
  const auto at = lower.find(field);
  const auto start = at == std::string::npos ? at : head.find_first_not_of(' ', at + field.size());
  return start == std::string::npos ? std::string() : head.substr(start, 24);
}

// The whole answer to a request with this key.
inline std::string switching_protocols(std::string_view key) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         accept_of(key) + "\r\n\r\n";
}

}  // namespace holdfast::bench
