#include "config/validate_feed.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "holdfast/config/match.hpp"

namespace holdfast::config {

namespace {

std::string indexed(const std::string& list, std::size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

std::vector<std::string> names_in(const Feed& feed) {
  std::vector<std::string> names = placeholders(feed.channel);
  const auto add = [&](const std::string& text) {
    for (std::string& each : placeholders(text)) names.push_back(std::move(each));
  };
  for (const SourceUrl& url : feed.source.urls) add(url.target);
  if (!feed.source.upstream.empty()) add(feed.source.path);
  return names;
}

void check_source(const Config& config, const Feed& feed, const std::string& place, Problems& problems) {
  const Source& source = feed.source;
  const bool may_be_none = feed.dialect != "opaque" && source.upstream.empty();  // the dialect says
  if (source.urls.empty() == source.upstream.empty() && !may_be_none && !problems.has(place + ".urls"))
    problems.error(place, "must have either urls or upstream");
  if (!source.upstream.empty() && config.find_upstream(source.upstream) == nullptr)
    problems.error(place + ".upstream",
                   "is " + quote(source.upstream) + ", which is not the name of an upstream");
  if (source.mode == SourceMode::redundant && source.urls.size() < 2)
    problems.error(place + ".mode", "is \"redundant\", which needs two urls at least");
  for (const SourceUrl& url : source.urls) {
    if (url.host.find('$') != std::string::npos)
      problems.error(place + ".urls", "may have \"$name\" in the path and query only");
  }
  // Two clients of one channel must mean the same source.
  const std::vector<std::string> named = placeholders(feed.channel);
  for (const std::string& name : names_in(feed)) {
    if (std::ranges::find(named, name) != named.end()) continue;
    problems.error(place + (source.urls.empty() ? ".path" : ".urls"),
                   "has \"$" + name + "\", which the feed's channel must have, too");
    return;
  }
}

// With a dialect clients say which channels, on connections that all of them share.
void check_dialect(const Feed& feed, const std::string& place, Problems& problems) {
  const SourceLimits& limits = feed.source.limits;
  if (feed.dialect == "opaque") {
    if (limits.subscriptions_per_connection != 0 || limits.messages_per_second != 0)
      problems.error(place + ".source.limits",
                     "may have connects_per_5min only: an opaque feed's channels have a connection each");
    if (feed.max_channels_per_client != 0)
      problems.error(place + ".max_channels_per_client",
                     "is " + std::to_string(feed.max_channels_per_client) +
                         ", must be absent: a client of an opaque feed has one channel");
    return;
  }
  if (feed.max_channels_per_client > feed.max_channels)
    problems.error(place + ".max_channels_per_client", "is " + std::to_string(feed.max_channels_per_client) +
                                                           ", must be at most max_channels (" +
                                                           std::to_string(feed.max_channels) + ")");
  const std::string why = ", must be absent: the messages of the dialect " + quote(feed.dialect);
  if (!feed.channel.empty())
    problems.error(place + ".channel", "is " + quote(feed.channel) + why + " name the channels");
  if (feed.client_messages != ClientMessages::drop)
    problems.error(place + ".client_messages", "is \"forward\"" + why + " say what is forwarded");
}

void check_feed_route(const Config& config, const Route& route, const std::string& place,
                      Problems& problems) {
  if (!route.upstream.empty()) problems.error(place, "must have either an upstream or a feed");
  const auto feed = std::ranges::find(config.feeds, route.feed, &Feed::name);
  if (feed == config.feeds.end()) {
    std::vector<std::string> known;
    for (const Feed& each : config.feeds) known.push_back(each.name);
    problems.error(place + ".feed", "is " + quote(route.feed) + ", which is not the name of a feed" +
                                        did_you_mean(route.feed, known));
    return;
  }
  std::string why;
  const auto pattern = PathPattern::compile(route.path, why);
  if (!pattern) return;
  const std::vector<std::string> given = pattern->names();
  for (const std::string& name : placeholders(feed->channel)) {
    if (std::ranges::find(given, name) != given.end()) continue;
    problems.error(place + ".path", "is " + quote(route.path) + ", must have \":" + name +
                                        "\": the channel of feed " + quote(feed->name) + " needs it");
  }
}

}  // namespace

void validate_feeds(const Config& config, Problems& problems) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.feeds.size(); ++i) {
    const Feed& feed = config.feeds[i];
    const std::string place = indexed("feeds", i);
    if (!names.insert(feed.name).second)
      problems.error(place + ".name", "is " + quote(feed.name) + ", already the name of another feed");
    check_source(config, feed, place + ".source", problems);
    check_dialect(feed, place, problems);
    const bool is_used =
        std::ranges::any_of(config.routes, [&](const Route& r) { return r.feed == feed.name; });
    if (!is_used) problems.warning(place, quote(feed.name) + " is used by no route");
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    if (!config.routes[i].feed.empty())
      check_feed_route(config, config.routes[i], indexed("routes", i), problems);
  }
  if (config.upstreams.empty() && config.feeds.empty() && !problems.has("upstreams") &&
      !problems.has("feeds"))
    problems.error("upstreams", "is missing: there is neither an upstream nor a feed");
}

}  // namespace holdfast::config
