// Messages of name servers against the reader of answers. What is found must be backends that a configuration
// could have: numeric addresses with a port, each once, in order.
#include "holdfast/discover/answer.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

namespace discover = holdfast::discover;

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

void check(const std::vector<holdfast::config::BackendConfig>& backends) {
  std::string before;
  for (const auto& backend : backends) {
    require(backend.address.sockets.size() == 1 && backend.address.text > before);
    require(backend.weight >= 1 && backend.weight <= 256);
    before = backend.address.text;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto answer = discover::parse_answer({data, size});
  if (!answer.has_value()) return 0;
  require(answer.value().addresses.size() + answer.value().services.size() <= discover::most_records);
  check(discover::backends_of(answer.value().addresses, 9001));
  check(discover::backends_of(answer.value().services,
                              {answer.value().services.size(), answer.value().addresses}));
  return 0;
}
