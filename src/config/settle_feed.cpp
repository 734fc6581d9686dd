// Files and defaults of feeds[].

#include "config/settle.hpp"
#include "holdfast/config/match.hpp"

namespace holdfast::config {

namespace {
constexpr std::size_t most_field_bytes = 4096;
constexpr std::size_t most_dialect_bytes = 1U << 20U;
}  // namespace

void Settler::settle_feed(Feed& feed, const std::string& place) {
  Source& source = feed.source;
  for (const auto& [name, file] : source.header_files) {
    std::string path = file;
    const std::string where = place + ".source.header_files." + quote(name);
    const std::string value = trimmed(read_whole(path, most_field_bytes, where));
    bool is_good = !value.empty();
    for (const char c : value) is_good = is_good && (c >= ' ' || c == '\t') && c != 0x7f;
    if (!is_good) problems_.error(where, quote(path) + " must hold one line of visible characters");
    source.read_headers.emplace_back(name, value);
  }
  if (is_dialect_file(feed.dialect))
    feed.dialect_text = read_whole(feed.dialect, most_dialect_bytes, place + ".dialect");
  if (source.tls.ca.empty()) return;
  PemFile file{source.tls.ca, {}};
  read_pem(file, place + ".source.tls.ca", "-----BEGIN CERTIFICATE-----");
  source.tls.ca = std::move(file.path);
  source.tls.ca_pem = std::move(file.pem);
}

}  // namespace holdfast::config
