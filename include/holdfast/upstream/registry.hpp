// All backends there are, so that a reload finds the ones it already knows with their state.
// Control thread only.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/upstream/backend.hpp"

namespace holdfast::upstream {

class Registry {
 public:
  [[nodiscard]] std::shared_ptr<Backend> find_or_create(const std::string& upstream,
                                                        const std::string& address);
  // nullptr if unknown.
  [[nodiscard]] std::shared_ptr<Backend> find(const std::string& upstream, const std::string& address) const;

  // The upstream's state, made at the first call of a name.
  [[nodiscard]] std::shared_ptr<UpstreamState> state(const std::string& upstream);

  // What is in the config in force now: addresses by upstream. Tells all upstreams and backends.
  void set_members(const std::map<std::string, std::set<std::string>>& members);

  // Forgets the backends and upstream states that no snapshot and no session holds any more; how many
  // backends. Call it once old snapshots are gone, and now and then: sessions end later.
  std::size_t forget_unused();

  [[nodiscard]] std::vector<std::shared_ptr<Backend>> all() const;  // sorted by upstream, address

 private:
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Backend>> backends_;
  std::map<std::string, std::shared_ptr<UpstreamState>> states_;
};

}  // namespace holdfast::upstream
