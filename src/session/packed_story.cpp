#include "session/packed_story.hpp"

#include <cstring>

namespace holdfast::session {

PackedStory::PackedStory(const Story& story) {
  const std::string* const texts[] = {&story.client, &story.listener, &story.host, &story.path};
  Header header{story.handshake_ms, {}};
  std::uint32_t size = 0;
  for (std::size_t n = 0; n < parts; ++n) {
    size += static_cast<std::uint32_t>(texts[n]->size());
    header.ends[n] = size;
  }
  block_ = std::make_unique_for_overwrite<char[]>(sizeof header + size);
  std::memcpy(block_.get(), &header, sizeof header);
  char* place = block_.get() + sizeof header;
  for (const std::string* text : texts) place += text->copy(place, text->size());
}

PackedStory::Header PackedStory::header() const noexcept {
  Header header;
  std::memcpy(&header, block_.get(), sizeof header);
  return header;
}

std::string PackedStory::part(std::size_t number) const {
  const Header known = header();
  const std::uint32_t begin = number == 0 ? 0 : known.ends[number - 1];
  return {block_.get() + sizeof known + begin, known.ends[number] - begin};
}

Story PackedStory::unpack() const {
  Story story;
  story.client = part(0);
  story.listener = part(1);
  story.host = part(2);
  story.path = part(3);
  story.handshake_ms = header().handshake_ms;
  return story;
}

}  // namespace holdfast::session
