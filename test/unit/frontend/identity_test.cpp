#include "frontend/identity.hpp"

#include <doctest/doctest.h>

namespace holdfast::frontend {
namespace {

constexpr WallTime moment{std::chrono::seconds(1'700'000'000)};

session::SessionId counting_id() {
  session::SessionId id;
  for (std::size_t n = 0; n < id.bytes.size(); ++n) id.bytes[n] = static_cast<std::uint8_t>(n);
  return id;
}

TEST_CASE("a session's id travels as 32 hexadecimal digits") {
  CHECK(counting_id().text() == "000102030405060708090a0b0c0d0e0f");
  CHECK(session_field(counting_id()).name == "Holdfast-Session");
  CHECK(session_field(counting_id()).value == counting_id().text());
  Randomness randomness;
  CHECK(random_session_id(randomness).text().size() == 32);
  CHECK_FALSE(random_session_id(randomness) == random_session_id(randomness));
}

TEST_CASE("without a secret a reroute tells its number and cause only") {
  const ws::ExtraField field = reroute_field(counting_id(), 2, "draining", "", moment);
  CHECK(field.name == "Holdfast-Reroute");
  CHECK(field.value == "2; cause=draining");
}

TEST_CASE("with a secret id, number and time are signed as any HMAC-SHA-256 does") {
  // Computed with Python: hmac.new(secret, b"000102030405060708090a0b0c0d0e0f 3 1700000000", sha256).
  const ws::ExtraField field = reroute_field(counting_id(), 3, "lost", "sixteen bytes at least", moment);
  CHECK(field.value ==
        "3; cause=lost; time=1700000000; "
        "hmac=a96ec9f5955bca23af58b36d747fb840f9b45f3614dfa89a3e4c08bc342e8800");
  const auto signed_with = [](std::uint32_t number, const char* secret, WallTime when) {
    const std::string value = reroute_field(counting_id(), number, "lost", secret, when).value;
    return value.substr(value.find("hmac="));
  };
  const std::string known = signed_with(3, "sixteen bytes at least", moment);
  CHECK(signed_with(3, "sixteen bytes at least", moment) == known);
  CHECK(signed_with(4, "sixteen bytes at least", moment) != known);
  CHECK(signed_with(3, "sixteen bytes at most", moment) != known);
  CHECK(signed_with(3, "sixteen bytes at least", moment + std::chrono::seconds(1)) != known);
}

TEST_CASE("every handshake has a key of its own") {
  Randomness randomness;
  CHECK(random_key(randomness).size() == 24);
  CHECK(random_key(randomness) != random_key(randomness));
}

}  // namespace
}  // namespace holdfast::frontend
