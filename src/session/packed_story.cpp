#include "session/packed_story.hpp"

#include <algorithm>

namespace holdfast::session {

namespace {

// Seven bits a byte, the lowest first; the eighth says that more follow.
constexpr unsigned digit_bits = 7;
constexpr std::uint32_t more = 1U << digit_bits;
constexpr std::size_t most_digits = 5;

char* write_number(char* place, std::uint32_t number) noexcept {
  for (; number >= more; number >>= digit_bits) *place++ = static_cast<char>((number & (more - 1)) | more);
  *place++ = static_cast<char>(number);
  return place;
}

const char* read_number(const char* place, std::uint32_t& number) noexcept {
  number = 0;
  for (unsigned shift = 0;; shift += digit_bits) {
    const auto digit = static_cast<unsigned char>(*place++);
    number |= (digit & (more - 1)) << shift;
    if ((digit & more) == 0) return place;
  }
}

}  // namespace

PackedStory::PackedStory(const Story& story) {
  const std::string* const texts[] = {&story.client, &story.listener, &story.host, &story.path};
  std::array<char, (1 + parts) * most_digits> numbers;
  char* end = write_number(numbers.data(), story.handshake_ms);
  std::size_t size = 0;
  for (const std::string* text : texts) {
    end = write_number(end, static_cast<std::uint32_t>(text->size()));
    size += text->size();
  }
  const auto head_size = static_cast<std::size_t>(end - numbers.data());
  block_ = std::make_unique_for_overwrite<char[]>(head_size + size);
  char* place = std::copy(numbers.data(), end, block_.get());
  for (const std::string* text : texts) place += text->copy(place, text->size());
}

PackedStory::Head PackedStory::head() const noexcept {
  Head head;
  const char* place = block_.get();
  for (std::uint32_t& number : head.numbers) place = read_number(place, number);
  head.size = static_cast<std::size_t>(place - block_.get());
  return head;
}

std::string PackedStory::part(std::size_t number) const {
  const Head known = head();
  std::size_t begin = known.size;
  for (std::size_t n = 0; n < number; ++n) begin += known.numbers[1 + n];
  return {block_.get() + begin, known.numbers[1 + number]};
}

Story PackedStory::unpack() const {
  Story story;
  story.client = part(0);
  story.listener = part(1);
  story.host = part(2);
  story.path = part(3);
  story.handshake_ms = head().numbers[0];
  return story;
}

}  // namespace holdfast::session
