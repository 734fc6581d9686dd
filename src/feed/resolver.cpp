#include "feed/resolver.hpp"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <system_error>
#include <thread>
#include <utility>

namespace holdfast::feed {

Resolver::Resolver(boost::asio::io_context& io, Resolve resolve)
    : resolve_(std::move(resolve)), gate_(std::make_shared<Gate>()) {
  gate_->io = &io;
}

Resolver::~Resolver() {
  const std::lock_guard closing(gate_->mutex);
  gate_->io = nullptr;
}

std::shared_ptr<Resolver::Lookup> Resolver::look_up(const std::string& host) {
  const auto [found, is_new] = under_way_.try_emplace(host);
  if (!is_new) return found->second;
  auto lookup = std::make_shared<Lookup>();
  found->second = lookup;
  const auto look = [this, host, lookup, gate = gate_, resolve = resolve_] {
    pthread_setname_np(pthread_self(), "names");
    std::string error;
    std::vector<config::SocketAddress> sockets = resolve(host, error);
    const std::lock_guard open(gate->mutex);
    if (gate->io == nullptr) return;
    boost::asio::post(*gate->io, [this, host, lookup, error, sockets = std::move(sockets)]() mutable {
      lookup->sockets = std::move(sockets);
      lookup->error = error;
      finish(host, lookup);
    });
  };
  try {
    std::thread(look).detach();
  } catch (const std::system_error& problem) {
    lookup->error = problem.what();
    finish(host, lookup);
  }
  return lookup;
}

void Resolver::finish(const std::string& host, const std::shared_ptr<Lookup>& lookup) {
  under_way_.erase(host);
  lookup->is_done = true;
  for (boost::asio::steady_timer* const each : lookup->waiting) each->cancel();
}

}  // namespace holdfast::feed
