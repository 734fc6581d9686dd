#include "session/packed_story.hpp"

#include <doctest/doctest.h>

namespace holdfast::session::test {

TEST_SUITE("packed story") {
  TEST_CASE("a story comes out as it went in, whatever the sizes of its parts") {
    for (const std::size_t size : {0UL, 1UL, 127UL, 128UL, 16'383UL, 16'384UL, 70'000UL}) {
      CAPTURE(size);
      Story story;
      story.client = "203.0.113.7:54321";
      story.listener = "";
      story.host = std::string(size, 'h');
      story.path = "/" + std::string(size, 'p');
      story.handshake_ms = static_cast<std::uint32_t>(size * 50'000);
      const Story told = PackedStory(story).unpack();
      CHECK(told.client == story.client);
      CHECK(told.listener.empty());
      CHECK(told.host == story.host);
      CHECK(told.path == story.path);
      CHECK(told.handshake_ms == story.handshake_ms);
    }
  }

  TEST_CASE("the longest handshake is known") {
    Story story;
    story.handshake_ms = UINT32_MAX;
    CHECK(PackedStory(story).unpack().handshake_ms == UINT32_MAX);
  }
}

}  // namespace holdfast::session::test
