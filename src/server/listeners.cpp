#include "server/listeners.hpp"

#include <unistd.h>

#include <algorithm>

#include "holdfast/config/diff.hpp"
#include "server/service_manager.hpp"

namespace holdfast::server {

Result<Listeners::Bound> Listeners::bind_one(const config::Listener& listener) const {
  Bound bound;
  bound.key = config::listener_key(listener);
  if (listener.bind.kind == config::AddressKind::passed) {
    auto passed = passed_socket(listener.bind.path);
    if (!passed) return passed.error();
    bound.sockets.push_back(std::move(passed.value()));
    bound.address = listener.bind.text;
    return bound;
  }
  if (listener.bind.sockets.empty()) {
    return Error{Failure::internal, Side::us, Retry::no,
                 "cannot bind " + listener.bind.text + ": name not resolved"};
  }
  config::SocketAddress address = listener.bind.sockets.front();
  const bool unix_path = listener.bind.kind == config::AddressKind::unix_path;
  bound.sharing = unix_path ? net::Sharing::exclusive : net::Sharing::reuse_port;
  if (unix_path) bound.unlink = listener.bind.path;
  if (!unix_path && listener.bind.port != 0) {
    // SO_REUSEPORT would let a second process share the port unseen: look first whether somebody has it.
    auto alone = net::listen_on(address, net::Sharing::exclusive);
    if (!alone) return alone.error();
  }
  const std::size_t count = unix_path ? 1 : threads_.size();
  for (std::size_t n = 0; n < count; ++n) {
    auto socket = net::listen_on(address, bound.sharing);
    if (!socket) return socket.error();
    address = net::local_address(socket.value());  // port 0 has become a real one, for all of them
    bound.sockets.push_back(std::move(socket.value()));
  }
  bound.address = net::to_text(address);
  return bound;
}

Result<std::vector<Listeners::Bound>> Listeners::bind_new(const config::Config& config) const {
  std::vector<Bound> all;
  for (const config::Listener& listener : config.listeners) {
    if (open_.contains(config::listener_key(listener))) continue;
    auto bound = bind_one(listener);
    if (!bound)
      return Error{bound.error().failure, Side::us, Retry::no,
                   "listener " + listener.name + ": " + bound.error().what};
    all.push_back(std::move(bound.value()));
  }
  return all;
}

void Listeners::close_removed(const config::Config& config) {
  const auto wanted = [&](const std::string& key) {
    return std::ranges::any_of(config.listeners,
                               [&](const auto& each) { return config::listener_key(each) == key; });
  };
  std::erase_if(open_, [&](const auto& entry) {
    if (wanted(entry.first)) return false;
    close(entry.first, entry.second);
    return true;
  });
}

void Listeners::open(std::vector<Bound> bound) {
  std::vector<std::future<void>> opening;
  for (Bound& each : bound) {
    for (std::size_t n = 0; n < each.sockets.size(); ++n) {
      opening.push_back(threads_[n]->listen(each.key, std::move(each.sockets[n]), each.sharing));
    }
    open_[each.key] = {each.address, each.unlink};
  }
  for (const std::future<void>& each : opening) each.wait();
}

void Listeners::close(const std::string& key, const Open& open) {
  if (!open.unlink.empty()) unlink(open.unlink.c_str());
  std::vector<std::future<void>> closing;
  for (frontend::SetupThread* thread : threads_) closing.push_back(thread->unlisten(key));
  for (const std::future<void>& each : closing) each.wait();
}

void Listeners::close_all() {
  for (const auto& [key, open] : open_) close(key, open);
  open_.clear();
}

std::string Listeners::bound_address(const std::string& key) const {
  const auto found = open_.find(key);
  return found == open_.end() ? std::string() : found->second.address;
}

bool Listeners::all_open(const config::Config& config) const {
  return std::ranges::all_of(config.listeners,
                             [&](const auto& each) { return open_.contains(config::listener_key(each)); });
}

}  // namespace holdfast::server
