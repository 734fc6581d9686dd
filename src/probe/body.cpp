#include "probe/body.hpp"

#include <charconv>

namespace holdfast::probe {

namespace {

// RFC 9112 section 7.1; extensions and trailers are passed over.
PartOfBody unchunk(std::string_view raw) {
  PartOfBody part;
  for (;;) {
    const std::size_t end = raw.find("\r\n");
    if (end == std::string_view::npos) return part;
    std::size_t size = 0;
    const auto [behind, error] = std::from_chars(raw.data(), raw.data() + end, size, 16);
    const bool understood = error == std::errc() && behind != raw.data();
    if (!understood || size == 0) {
      part.whole = true;
      return part;
    }
    raw.remove_prefix(end + 2);
    part.text += raw.substr(0, size);
    if (raw.size() < size || raw.size() - size < 2) return part;
    raw.remove_prefix(size + 2);
  }
}

}  // namespace

PartOfBody body_of(ws::Body body, std::string_view raw) {
  switch (body.end) {
    case ws::BodyEnd::none:
      return {"", true};
    case ws::BodyEnd::length:
      return {std::string(raw.substr(0, body.length)), raw.size() >= body.length};
    case ws::BodyEnd::chunked:
      return unchunk(raw);
    case ws::BodyEnd::until_close:
      return {std::string(raw), false};
  }
  return {"", true};
}

}  // namespace holdfast::probe
