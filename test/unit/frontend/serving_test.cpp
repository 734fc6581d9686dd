#include "holdfast/frontend/serving.hpp"

#include <doctest/doctest.h>

namespace holdfast::frontend {
namespace {

RouteEntry route(const std::string& host, const std::string& path, std::vector<std::string> listeners = {}) {
  std::string why;
  RouteEntry entry;
  entry.host = config::HostPattern::compile(host, why).value();
  entry.path = config::PathPattern::compile(path, why).value();
  entry.listeners = std::move(listeners);
  return entry;
}

Serving serving() {
  Serving made;
  for (const char* name : {"public", "private"}) {
    ListenerEntry listener;
    listener.key = std::string(name) + "-key";
    listener.settings.name = name;
    made.listeners.push_back(listener);
  }
  made.routes.push_back(route("chat.example.com", "/ws/*"));
  made.routes.push_back(route("*.example.com", "/ws/:room", {"public"}));
  made.routes.push_back(route("", "/admin", {"private"}));
  made.routes.push_back(route("", "/ws/*", {"public"}));
  return made;
}

// The number of the route that takes it, -1 for none.
int taker(const Serving& from, std::size_t listener, const std::string& host, const std::string& path) {
  ws::ClientHandshake request;
  request.host = host;
  request.path = path;
  const RouteEntry* found = from.match(from.listeners[listener], request);
  return found == nullptr ? -1 : static_cast<int>(found - from.routes.data());
}

TEST_CASE("the first route that takes host, path and listener wins") {
  const Serving all = serving();
  CHECK(taker(all, 0, "chat.example.com", "/ws/a/b") == 0);
  CHECK(taker(all, 1, "chat.example.com", "/ws/") == 0);
  CHECK(taker(all, 0, "news.example.com", "/ws/room") == 1);
  CHECK(taker(all, 0, "news.example.com", "/ws/a/b") == 3);
  CHECK(taker(all, 1, "news.example.com", "/ws/room") == -1);
  CHECK(taker(all, 1, "any", "/admin") == 2);
  CHECK(taker(all, 0, "any", "/admin") == -1);
  CHECK(taker(all, 0, "", "/ws/x") == 3);
  CHECK(taker(all, 0, "chat.example.com", "/WS/x") == -1);
}

TEST_CASE("listeners are found by key, and none after a reload that removed it") {
  const Serving all = serving();
  CHECK(all.find_listener("private-key") == &all.listeners[1]);
  CHECK(all.index_of(all.listeners[1]) == 1);
  CHECK(all.find_listener("private") == nullptr);
  CHECK(all.find_listener("") == nullptr);
}

TEST_CASE("a reader keeps the snapshot it took") {
  Present present;
  CHECK(present.get() == nullptr);
  present.set(std::make_shared<const Serving>(serving()));
  const auto old = present.get();
  present.set(std::make_shared<const Serving>());
  CHECK(old->routes.size() == 4);
  CHECK(present.get()->routes.empty());
}

}  // namespace
}  // namespace holdfast::frontend
