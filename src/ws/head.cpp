// Our own strict split comes first: Beast accepts folded lines and duplicate Hosts, and keeps fields of
// one name together instead of in order. A head has to please both, but Beast's parser is only asked where it
// could still object: our grammar of lines is the stricter one (head_test.cpp holds it against Beast's), so
// that leaves the values of a few fields, which most heads of a WebSocket don't have.
#include "holdfast/ws/head.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>
#include <system_error>
#include <utility>

#include "ws/passing.hpp"
#include "ws/syntax.hpp"

namespace holdfast::ws {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view line_end = "\r\n";

Rejection malformed(std::string what) {
  return {400, std::move(what), {}};
}

// A backend's faults are all "garbage" to the client.
Rejection as_garbage(Rejection rejection) {
  rejection.status = 502;
  return rejection;
}

// Beast's verdict alone: what it understood is not kept, we have it already.
template <bool is_request>
class Verdict final : public http::basic_parser<is_request> {
  using Text = boost::beast::string_view;
  using Code = boost::beast::error_code;
  void on_request_impl(http::verb, Text, Text, int, Code&) override {}
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(http::field, Text, Text, Code&) override {}
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(Text body, Code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code&) override { return body.size(); }
  void on_finish_impl(Code&) override {}
};

template <bool is_request>
std::optional<Rejection> judge(std::string_view bytes) {
  Verdict<is_request> parser;
  parser.header_limit(static_cast<std::uint32_t>(max_head_bytes + 1));
  parser.body_limit(boost::none);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error) return malformed("The head is malformed (" + error.message() + ").");
  if (!parser.is_header_done()) return malformed("The head is not complete.");
  return std::nullopt;
}

// Those whose values Beast judges, too, next to Connection.
constexpr NameSet framing("Content-Length", "Transfer-Encoding", "Proxy-Connection");

bool is_list_of_tokens(std::string_view value) noexcept {
  ListReader elements(value);
  while (const auto element = elements.next()) {
    if (!is_token(*element)) return false;
  }
  return true;
}

// "HTTP/1.1" as 11; nullopt if it has another shape.
std::optional<unsigned> parse_version(std::string_view text) noexcept {
  if (text.size() != 8 || !text.starts_with("HTTP/") || text[6] != '.') return std::nullopt;
  const auto major = parse_number(text.substr(5, 1), 9);
  const auto minor = parse_number(text.substr(7, 1), 9);
  if (!major || !minor) return std::nullopt;
  return *major * 10 + *minor;
}

// Visible ASCII; a fragment never travels (RFC 9112 section 3.2).
bool is_target(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

}  // namespace

std::size_t find_head_end(std::string_view bytes, std::size_t searched) noexcept {
  // The end may have begun in the last three bytes that were searched.
  const std::size_t from = searched < 3 ? 0 : searched - 3;
  const std::size_t found = bytes.find("\r\n\r\n", from);
  return found == std::string_view::npos ? found : found + 4;
}

// Most differ in size: that is seen without looking at the name.
inline bool Fields::is_named(const Entry& entry, std::string_view name) const noexcept {
  return entry.name.size == name.size() && equal_ignoring_case(at(entry.name), name);
}

Field Fields::operator[](std::size_t index) const noexcept {
  return {at(entries_[index].name), at(entries_[index].value)};
}

std::optional<std::string_view> Fields::find(std::string_view name) const noexcept {
  for (const Entry& entry : entries_) {
    if (is_named(entry, name)) return at(entry.value);
  }
  return std::nullopt;
}

std::optional<std::string_view> Fields::only(std::string_view name) const noexcept {
  std::optional<std::string_view> found;
  for (const Entry& entry : entries_) {
    if (!is_named(entry, name)) continue;
    if (found) return std::nullopt;
    found = at(entry.value);
  }
  return found;
}

std::size_t Fields::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(),
                                                [&](const Entry& entry) { return is_named(entry, name); }));
}

std::vector<std::string_view> Fields::values(std::string_view name) const {
  std::vector<std::string_view> found;
  for (const Entry& entry : entries_) {
    if (is_named(entry, name)) found.push_back(at(entry.value));
  }
  return found;
}

bool Fields::are_plain() const noexcept {
  return std::ranges::all_of(entries_, [&](const Entry& entry) {
    const std::string_view name = at(entry.name);
    if (framing.has(name)) return false;
    return !equal_ignoring_case(name, "Connection") || is_list_of_tokens(at(entry.value));
  });
}

bool Fields::has_token(std::string_view name, std::string_view token) const {
  for (const Entry& entry : entries_) {
    if (!is_named(entry, name)) continue;
    ListReader elements(at(entry.value));
    while (const auto element = elements.next()) {
      if (equal_ignoring_case(*element, token)) return true;
    }
  }
  return false;
}

std::optional<Rejection> Fields::split(std::string_view bytes) {
  if (bytes.size() > max_head_bytes) return Rejection{431, "The head is larger than 16 KiB.", {}};
  if (find_head_end(bytes) != bytes.size()) return malformed("The head does not end where it should.");
  raw_ = bytes;
  const std::string_view raw = raw_;
  const auto piece = [raw](std::string_view part) {
    return Piece{static_cast<std::uint16_t>(part.data() - raw.data()),
                 static_cast<std::uint16_t>(part.size())};
  };

  constexpr std::size_t usual_fields = 16;
  entries_.reserve(usual_fields);
  std::size_t begin = raw.find(line_end);
  start_ = {0, static_cast<std::uint16_t>(begin)};
  if (!is_field_value(raw.substr(0, begin))) return malformed("The start line holds a control character.");
  begin += line_end.size();
  while (true) {
    const std::string_view line = raw.substr(begin, raw.find(line_end, begin) - begin);
    if (line.empty()) return std::nullopt;
    begin += line.size() + line_end.size();
    if (entries_.size() == max_head_fields) return Rejection{431, "The head has more than 100 fields.", {}};
    if (line[0] == ' ' || line[0] == '\t') return malformed("A field line is folded.");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return malformed("A field line has no colon.");
    // This also refuses blanks in front of the colon, which would let "Host :" hide from one parser.
    if (!is_token(line.substr(0, colon))) return malformed("A field name holds an illegal character.");
    // Bare CR, bare LF and NUL are among these.
    if (!is_field_value(line.substr(colon + 1))) return malformed("A field value holds a control character.");
    const std::string_view value = trim(line.substr(colon + 1));
    entries_.push_back({piece(line.substr(0, colon)), value.empty() ? Piece{} : piece(value)});
  }
}

std::optional<Rejection> RequestHead::split_start_line() {
  const std::string_view line = at(start_);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return malformed("The request line is malformed.");
  if (!is_token(line.substr(0, first))) return malformed("The request method is malformed.");
  if (!is_target(line.substr(first + 1, last - first - 1)))
    return malformed("The request target is malformed.");
  const auto version = parse_version(line.substr(last + 1));
  if (!version) return malformed("The HTTP version is malformed.");
  if (*version != 10 && *version != 11) return Rejection{505, "Only HTTP/1.1 is spoken here.", {}};
  method_ = {0, static_cast<std::uint16_t>(first)};
  target_ = {static_cast<std::uint16_t>(first + 1), static_cast<std::uint16_t>(last - first - 1)};
  version_ = *version;
  return std::nullopt;
}

Judged<RequestHead> RequestHead::parse(std::string_view bytes) {
  RequestHead head;
  if (auto fault = head.split(bytes)) return *std::move(fault);
  if (auto fault = head.split_start_line()) return *std::move(fault);
  if (head.are_plain()) return head;
  if (auto fault = judge<true>(bytes)) return *std::move(fault);
  return head;
}

std::optional<Rejection> ResponseHead::split_status_line() {
  const std::string_view line = at(start_);
  const auto version = parse_version(line.substr(0, 8));
  if (!version || (*version != 10 && *version != 11)) return malformed("The answer is not HTTP/1.x.");
  // The blank behind the code is part of it also where no reason follows (RFC 9112 section 4).
  if (line.size() < 13 || line[8] != ' ' || line[12] != ' ') {
    return malformed("The status line is malformed.");
  }
  const auto status = parse_number(line.substr(9, 3), 599);
  if (!status || *status < 100) return malformed("The status code is malformed.");
  version_ = *version;
  status_ = *status;
  if (line.size() > 13) reason_ = {13, static_cast<std::uint16_t>(line.size() - 13)};
  return std::nullopt;
}

// RFC 9112 section 6.3, without the cases that depend on the request: ours is a GET.
std::optional<Rejection> ResponseHead::judge_body() {
  const auto lengths = values("Content-Length");
  const auto codings = values("Transfer-Encoding");
  if (lengths.size() > 1) return malformed("The answer has more than one Content-Length.");
  if (!lengths.empty() && !codings.empty()) return malformed("The answer has two kinds of body framing.");
  if (!codings.empty() && version_ == 10) return malformed("The answer is HTTP/1.0 with Transfer-Encoding.");
  std::uint64_t length = 0;
  if (!lengths.empty()) {
    const char* const end = lengths[0].data() + lengths[0].size();
    const auto [stop, error] = std::from_chars(lengths[0].data(), end, length);
    if (error != std::errc{} || stop != end) return malformed("The answer's Content-Length is malformed.");
  }
  if (status_ < 200 || status_ == 204 || status_ == 304) return std::nullopt;
  if (!codings.empty()) {
    const auto elements = list_elements(codings.back());
    const bool chunked = !elements.empty() && equal_ignoring_case(elements.back(), "chunked");
    body_.end = chunked ? BodyEnd::chunked : BodyEnd::until_close;
  } else if (lengths.empty()) {
    body_.end = BodyEnd::until_close;
  } else {
    body_ = {length == 0 ? BodyEnd::none : BodyEnd::length, length};
  }
  return std::nullopt;
}

Judged<ResponseHead> ResponseHead::parse(std::string_view bytes) {
  ResponseHead head;
  if (auto fault = head.split(bytes)) return as_garbage(*std::move(fault));
  if (auto fault = head.split_status_line()) return as_garbage(*std::move(fault));
  if (auto fault = head.judge_body()) return as_garbage(*std::move(fault));
  if (head.are_plain()) return head;
  if (auto fault = judge<false>(bytes)) return as_garbage(*std::move(fault));
  return head;
}

}  // namespace holdfast::ws
