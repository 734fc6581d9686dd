#include "holdfast/ws/extensions.hpp"

#include <doctest/doctest.h>

#include "holdfast/ws/frame.hpp"

namespace holdfast::ws {
namespace {

std::vector<Extension> parsed(std::string_view text) {
  const std::string_view values[] = {text};
  return parse_extensions(values).value();
}

bool accepts(std::string_view offer, std::string_view answer) {
  return !fault_in_answer(parsed(offer), parsed(answer));
}

TEST_CASE("extension lists keep order, parameters and unquoted values over several fields") {
  const std::string_view values[] = {R"(a;x=1 ; y , , b ; z = "q\w")", "", "c"};
  const auto extensions = parse_extensions(values).value();
  REQUIRE(extensions.size() == 3);
  CHECK(extensions[0].name == "a");
  REQUIRE(extensions[0].parameters.size() == 2);
  CHECK(extensions[0].parameters[0].value == "1");
  CHECK_FALSE(extensions[0].parameters[1].value.has_value());
  CHECK(extensions[1].parameters[0].value == "qw");
  CHECK(extensions[2].name == "c");
}

TEST_CASE("extensions are written as they can be read again") {
  const char* const text =
      "permessage-deflate; client_max_window_bits=10; server_no_context_takeover, x; y=\"1\"";
  CHECK(to_text(parsed(text)) ==
        "permessage-deflate; client_max_window_bits=10; server_no_context_takeover, x; y=1");
  CHECK(to_text(parsed(to_text(parsed(text)))) == to_text(parsed(text)));
  CHECK(to_text({}).empty());
}

TEST_CASE("malformed extension lists are rejected with 400") {
  for (const std::string_view text : {"a b", ";x", "a;", "a;=1", "a;x=", "a;x=\"", "a;x=\"\"", "a;x=\"1 2\"",
                                      "a;x=\"1", "a;x=\"\\", "a=1", "a;x=1 y", "\"a\"", "a;x==1"}) {
    CAPTURE(text);
    const std::string_view values[] = {text};
    const auto result = parse_extensions(values);
    REQUIRE(result.has_error());
    CHECK(result.error().status == 400);
  }
}

TEST_CASE("an answer may only hold what was offered, once each") {
  CHECK(accepts("a, b", "b"));
  CHECK(accepts("a, b", "a, b"));
  CHECK(accepts("a", ""));
  CHECK(accepts("a", "a; any=thing"));
  CHECK_FALSE(accepts("a", "b"));
  CHECK_FALSE(accepts("", "permessage-deflate"));
  CHECK_FALSE(accepts("a, b", "a, a"));
}

TEST_CASE("permessage-deflate answers follow RFC 7692 section 7.1") {
  struct Row {
    const char* offer;
    const char* answer;
    bool legal;
  };
  const Row rows[] = {
      {"", "", true},
      {"", "; server_no_context_takeover", true},
      {"", "; client_no_context_takeover", true},
      {"", "; server_max_window_bits=10", true},
      {"", "; client_max_window_bits=10", false},
      {"; client_max_window_bits", "; client_max_window_bits=10", true},
      {"; client_max_window_bits", "; client_max_window_bits", false},
      {"; client_max_window_bits", "", true},
      {"; client_max_window_bits=10", "; client_max_window_bits=10", true},
      {"; client_max_window_bits=10", "; client_max_window_bits=11", false},
      {"; client_max_window_bits=10", "", true},
      {"; server_max_window_bits=10", "; server_max_window_bits=9", true},
      {"; server_max_window_bits=10", "; server_max_window_bits=11", false},
      {"; server_max_window_bits=10", "", false},
      {"; server_no_context_takeover", "; server_no_context_takeover", true},
      {"; server_no_context_takeover", "", false},
      {"; client_no_context_takeover", "", true},
      {"", "; server_max_window_bits", false},
      {"", "; server_max_window_bits=7", false},
      {"", "; server_max_window_bits=16", false},
      {"", "; server_max_window_bits=08", false},
      {"", "; server_no_context_takeover=1", false},
      {"", "; server_no_context_takeover; server_no_context_takeover", false},
      {"", "; server_max_window_bits=9; server_max_window_bits=9", false},
      {"", "; novelty", false},
      // An offer that no server may accept.
      {"; novelty", "", false},
      {"; server_max_window_bits", "; server_max_window_bits=15", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.offer);
    CAPTURE(row.answer);
    const std::string name = "permessage-deflate";
    CHECK(accepts(name + row.offer, name + row.answer) == row.legal);
  }
}

TEST_CASE("a permessage-deflate answer may fit the second of two offers") {
  const std::string_view offer = "permessage-deflate; server_max_window_bits=9, permessage-deflate";
  CHECK(accepts(offer, "permessage-deflate"));
  CHECK(accepts(offer, "Permessage-Deflate"));
  CHECK_FALSE(accepts(offer, "permessage-deflate, permessage-deflate"));
}

TEST_CASE("permessage-deflate opens one reserved bit, an unknown extension all three") {
  CHECK(allowed_rsv(parsed("")) == 0);
  CHECK(allowed_rsv(parsed("permessage-deflate")) == rsv1);
  CHECK(allowed_rsv(parsed("x-deflate-frame")) == rsv_all);
  CHECK(allowed_rsv(parsed("permessage-deflate, other")) == rsv_all);
}

}  // namespace
}  // namespace holdfast::ws
