#include "holdfast/upstream/registry.hpp"

namespace holdfast::upstream {

std::shared_ptr<Backend> Registry::find_or_create(const std::string& upstream, const std::string& address) {
  auto& backend = backends_[{upstream, address}];
  if (!backend) backend = std::make_shared<Backend>(state(upstream), address);
  return backend;
}

std::shared_ptr<UpstreamState> Registry::state(const std::string& upstream) {
  auto& state = states_[upstream];
  if (!state) state = std::make_shared<UpstreamState>(upstream);
  return state;
}

std::shared_ptr<Backend> Registry::find(const std::string& upstream, const std::string& address) const {
  const auto found = backends_.find({upstream, address});
  return found == backends_.end() ? nullptr : found->second;
}

// The sessions of an upstream that is gone are being closed: they are not to move.
void Registry::set_members(const std::map<std::string, std::set<std::string>>& members) {
  for (const auto& [name, state] : states_) state->set_present(members.contains(name));
  for (const auto& [key, backend] : backends_) {
    const auto found = members.find(key.first);
    if (found != members.end()) backend->set_member(found->second.contains(key.second));
  }
}

// If ours is the only reference, nobody else can make another one, so the count can't lie.
std::size_t Registry::forget_unused() {
  const auto unused = [](const auto& entry) { return entry.second.use_count() == 1; };
  const std::size_t forgotten = std::erase_if(backends_, unused);
  std::erase_if(states_, unused);
  return forgotten;
}

std::vector<std::shared_ptr<Backend>> Registry::all() const {
  std::vector<std::shared_ptr<Backend>> backends;
  backends.reserve(backends_.size());
  for (const auto& [key, backend] : backends_) backends.push_back(backend);
  return backends;
}

}  // namespace holdfast::upstream
