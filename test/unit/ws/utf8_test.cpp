#include "holdfast/ws/utf8.hpp"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::ws::test {
namespace {

bool legal(const std::string& text) {
  return is_utf8(std::as_bytes(std::span(text)));
}

TEST_CASE("UTF-8 of every length is legal, at the borders, too") {
  for (const char* text :
       {"", "plain", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z"})
    CHECK_MESSAGE(legal(text), text);
}

TEST_CASE("overlong forms, surrogates, too large and cut ones are not") {
  for (const char* text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x9f\xbf", "\xe1\x80", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff\xfe", "a\xe2\x82z"})
    CHECK_MESSAGE(!legal(text), text);
}

}  // namespace
}  // namespace holdfast::ws::test
