// What `discover` needs, and what a file of discovered backends may hold.

#include <set>
#include <utility>

#include "config/parse.hpp"
#include "config/problems.hpp"
#include "config/reader.hpp"
#include "config/settle.hpp"
#include "config/shape.hpp"
#include "config/validate.hpp"
#include "holdfast/config/load.hpp"

namespace holdfast::config {

void validate_discovery(const Upstream& upstream, const std::string& place, Problems& problems) {
  if (!upstream.discover) {
    if (upstream.backends.empty() && !problems.has(place + ".backends"))
      problems.error(place + ".backends",
                     "is missing or empty: list backends, or say with discover where they are found");
    return;
  }
  const Discover& discover = *upstream.discover;
  const std::string where = place + ".discover";
  if (discover.dns.empty() == discover.file.empty() && !problems.has(where + ".dns"))
    problems.error(where, "must have either dns or file");
  const bool is_srv = discover.type == DnsRecord::srv;
  if (!discover.dns.empty() && !is_srv && discover.port == 0 && !problems.has(where + ".port"))
    problems.error(where + ".port", "is missing: A and AAAA records have none");
  if (is_srv && discover.port != 0)
    problems.error(where + ".port",
                   "is " + std::to_string(discover.port) + ", but SRV records have their own");
  const bool checks_addresses =
      upstream.tls && upstream.tls->verify == UpstreamTls::Verify::yes && upstream.tls->server_name.empty();
  if (checks_addresses)
    problems.warning(place + ".tls.server_name",
                     "is missing: certificates of discovered backends must have their IP addresses");
}

BackendsFile parse_backends(std::string_view text, const Upstream& upstream, const std::string& directory) {
  BackendsFile result;
  Problems problems;
  const auto tree = parse_json(text, problems);
  if (tree && !tree->is_array()) problems.error("", "must hold a JSON list of backends");
  if (tree && tree->is_array()) {
    const nlohmann::json wrapped{{"backends", *tree}};
    Upstream found;
    found.probe = upstream.probe;
    Reader reader(wrapped, "", problems);
    visit_backends(reader, found);
    reader.finish();
    std::set<std::string> known;
    for (std::size_t n = 0; n < found.backends.size(); ++n) {
      Address& address = found.backends[n].address;
      const std::string place = "backends[" + std::to_string(n) + "].address";
      settle_numeric(address, directory, place, problems);
      if (!address.text.empty() && !known.insert(address.text).second)
        problems.error(place, "is " + quote(address.text) + ", as another one is");
    }
    result.backends = std::move(found.backends);
  }
  result.problems = problems.take_errors();
  if (!result.problems.empty()) result.backends.clear();
  return result;
}

}  // namespace holdfast::config
